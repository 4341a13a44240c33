"""Batches whose order and augmentation depend on seed and epoch alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler

from gatlabel.batch import Batch, Item
from gatlabel.data.dataset import ImageDataset
from gatlabel.data.seeds import image_seeds, mixed
from gatlabel.errors import InputError


class SeededSampler(Sampler[tuple[int, int]]):
    """Yields every position once per epoch, in random order, each with a seed for its transform.

    The order is a function of ``(seed, epoch)``, the seed of an image one of ``(seed, epoch,
    position)``. The number of workers has no effect, and a resumed run sees the same batches in
    epoch k as an uninterrupted one. Lightning sets the epoch; otherwise each pass is the next one.

    Args:
        count: Number of images.
        seed: Seed of the run.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        seeds = image_seeds(self.seed, self.epoch, self.count)
        self.epoch += 1
        order = torch.randperm(self.count, generator=generator).numpy()
        yield from zip(order.tolist(), seeds[order].tolist(), strict=True)


class SharedBatches(Sampler[list[Any]]):
    """Yields the share of each batch for one of several processes.

    Process r of n gets the items r, r + n, r + 2n … of a batch; batches without such items are
    skipped.

    Args:
        batches: The batches of all processes together.
        rank: Rank r of the process, from 0.
        size: Number n of processes.

    Attributes:
        sampler: The sampler of the batches; Lightning sets its epoch.
    """

    def __init__(self, batches: BatchSampler, rank: int, size: int) -> None:
        self.batches, self.rank, self.size = batches, rank, size
        self.sampler = batches.sampler

    def __len__(self) -> int:
        rest = len(self.sampler) % self.batches.batch_size  # type: ignore[arg-type]
        without = 0 < rest <= self.rank and not self.batches.drop_last
        return len(self.batches) - int(without)

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in self.batches:
            if share := batch[self.rank :: self.size]:
                yield share


class ImageLoader(DataLoader[Any]):
    """Yields batches; errors in workers are raised here without the workers' tracebacks."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yields batches.

        Raises:
            InputError: If an image cannot be read.
        """
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                try:
                    raise batch
                finally:
                    # Breaks the reference cycle of error and frame, which also holds the workers:
                    # collected as garbage together, they would be waited for without being stopped.
                    del batch
            yield batch


def _collate(items: Sequence[Item] | InputError) -> Batch | InputError:
    return items if isinstance(items, InputError) else Batch.collate(items)


def leave_interrupts_to_the_parent(worker: int) -> None:
    """Ignores Ctrl-C in a worker; it reaches every process of a terminal and must end the parent.

    The parent ends its workers. An inherited handler of SIGTERM is reset, too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def loader(
    dataset: ImageDataset,
    batch_size: int,
    *,
    train: bool,
    workers: int = 0,
    seed: int = 0,
) -> ImageLoader:
    """Creates a loader of :class:`~gatlabel.batch.Batch`.

    The input ``image`` is uint8 ``(B, 3, S, S)`` in channels-last layout; the targets of the task
    ``labels`` are float32 ``(B, L)``. If the data set has a cache, it is filled before workers
    start.

    Args:
        dataset: The images.
        batch_size: B.
        train: Random order; an incomplete last batch is dropped unless it is the only one, because
            tiny batches harm batch normalisation. Otherwise all images in order.
        workers: Number of processes that decode and transform; with 0, this process does. They
            persist between epochs.
        seed: Seed of the order and of random transforms.

    Raises:
        InputError: If there are no images, or a number is out of range.
    """
    if len(dataset) == 0:
        raise InputError("the split has no images to load")
    if batch_size < 1 or workers < 0:
        raise InputError(f"batch size {batch_size} and workers {workers}: expected >= 1 and >= 0")
    dataset.fill_cache(threads=max(1, workers))
    return ImageLoader(
        dataset,
        batch_size=batch_size,
        sampler=SeededSampler(len(dataset), seed) if train else None,
        drop_last=train and len(dataset) >= batch_size,
        num_workers=workers,
        collate_fn=_collate,
        persistent_workers=workers > 0,
        worker_init_fn=leave_interrupts_to_the_parent,
        pin_memory=torch.cuda.is_available(),
    )


def share_of(whole: DataLoader[Item], rank: int, size: int) -> ImageLoader:
    """Creates the loader of one of several processes that share the batches of a loader.

    Args:
        whole: The loader of all processes together, from :func:`loader`.
        rank: Rank of the process, from 0.
        size: Number of processes.

    Raises:
        InputError: If a batch has fewer images than there are processes.
    """
    batches = whole.batch_sampler
    assert isinstance(batches, BatchSampler)
    least = min(len(whole.dataset), batches.batch_size)  # type: ignore[arg-type]
    if least < size:
        raise InputError(f"devices={size}: more than the {least} images of a batch; give fewer")
    return ImageLoader(
        whole.dataset,
        batch_sampler=SharedBatches(batches, rank, size),
        num_workers=whole.num_workers,
        collate_fn=whole.collate_fn,
        persistent_workers=whole.num_workers > 0,
        worker_init_fn=leave_interrupts_to_the_parent,
        pin_memory=whole.pin_memory,
    )
