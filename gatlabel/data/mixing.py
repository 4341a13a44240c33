"""Mixing of data sets: batches of images that are labelled for different tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from gatlabel.batch import IMAGE, Batch, stack_images
from gatlabel.data.loading import ImageLoader, leave_interrupts_to_the_parent
from gatlabel.data.seeds import image_seeds, mixed
from gatlabel.errors import InputError, unknown_choice
from gatlabel.tasks import Task

Targets = Mapping[str, Tensor]
MixedItem = tuple[Tensor, Targets, int]


class MixedDataset(Dataset[MixedItem]):
    """Concatenated data sets; an item has targets for the tasks of its own data set only.

    Args:
        parts: Map-style data sets of ``(image, target, …)``, such as
            :class:`~gatlabel.data.dataset.ImageDataset`, each with the name of its task, or
            ``None`` if targets are mappings by task.

    Raises:
        InputError: If there is no data set, or one has no items.

    Attributes:
        sizes: Number of items of each part.
    """

    def __init__(self, parts: Sequence[tuple[Dataset[Any], str | None]]) -> None:
        if not parts:
            raise InputError("there are no data sets to mix")
        self.parts = list(parts)
        self.sizes = [len(part) for part, _ in parts]  # type: ignore[arg-type]
        for number, size in enumerate(self.sizes):
            if not size:
                raise InputError(f"data set {number} of the mixed ones has no items")
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, item: int | tuple[int, int]) -> MixedItem:
        """Returns an image, its targets by task, and its position.

        Args:
            item: The position in the concatenation, or ``(position, seed)``. With a seed, random
                transforms depend on it alone.
        """
        position, seed = item if isinstance(item, tuple) else (item, None)
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        part, task = self.parts[number]
        own = position - int(self._starts[number])
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.default_generator.manual_seed(seed)
            image, target = part[own][:2]
        return image, {task: target} if task is not None else target, position

    def __getitems__(self, items: Sequence[int | tuple[int, int]]) -> list[MixedItem] | InputError:
        """Returns the items of a batch; in a worker process, an error is returned, not raised.

        See :meth:`gatlabel.data.dataset.ImageDataset.__getitems__`.
        """
        try:
            return [self[item] for item in items]
        except InputError as error:
            if get_worker_info() is None:
                raise
            return error


def collate_for(
    tasks: Mapping[str, Task],
) -> Callable[[Sequence[MixedItem] | InputError], Batch | InputError]:
    """Returns a collate function for batches with targets of all tasks; errors are passed on.

    If an item has no target of a task, :meth:`~gatlabel.tasks.Task.absent` is used.

    Args:
        tasks: The tasks by name.
    """
    absent = {name: task.absent(1)[0] for name, task in tasks.items()}

    def collate(items: Sequence[MixedItem] | InputError) -> Batch | InputError:
        if isinstance(items, InputError):
            return items
        images, targets, positions = zip(*items, strict=True)
        by_task = {
            name: torch.stack([_as(own.get(name, none), none) for own in targets])
            for name, none in absent.items()
        }
        return Batch({IMAGE: stack_images(images)}, by_task, torch.tensor(positions))

    return collate


def _as(target: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(target, dtype=like.dtype).reshape(like.shape)


class MixedSampler(Sampler[tuple[int, int]]):
    """Yields positions of a :class:`MixedDataset` in random order, each with a seed.

    The order is a function of ``(seed, epoch)``, so that a resumed run has the same batches. The
    number of items per epoch is their total number.

    Args:
        sizes: Number of items of each data set.
        seed: Seed of the run.
        mixing: ``proportional``: each item once per epoch. ``sqrt``: the number of items of a data
            set is proportional to the square root of its size. ``round_robin``: the data sets in
            turn. With the latter two, a small data set is repeated within an epoch, and a large one
            takes several epochs. All items of a data set are used before any is repeated.

    Raises:
        InputError: If there is no such mixing.
    """

    def __init__(self, sizes: Sequence[int], seed: int, mixing: str = "proportional") -> None:
        if mixing not in MIXINGS:
            raise unknown_choice("mixing", mixing, MIXINGS)
        self.sizes, self.seed, self.epoch = list(sizes), seed, 0
        self.counts = MIXINGS[mixing](np.asarray(sizes, dtype=np.int64))
        self.in_turn = mixing == "round_robin"
        self._starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        rows = [self._rows(part, epoch) for part in range(len(self.sizes))]
        if self.in_turn:
            # the k-th items of all data sets, before the items k + 1
            turn = np.concatenate([np.arange(len(own)) for own in rows])
            order = np.argsort(turn, kind="stable")
        else:
            generator = torch.Generator().manual_seed(mixed(self.seed, epoch))
            order = torch.randperm(len(self), generator=generator).numpy()
        positions = np.concatenate(rows)[order]
        seeds = image_seeds(self.seed, epoch, sum(self.sizes))
        # an item that is repeated in an epoch has another seed
        seen: dict[int, int] = {}
        for position in positions.tolist():
            times = seen[position] = seen.get(position, -1) + 1
            own = int(seeds[position])
            yield position, own if not times else mixed(own, times)

    def _rows(self, part: int, epoch: int) -> NDArray[np.int64]:
        """Returns the positions of an epoch in a data set, in successive passes through it."""
        size, count = self.sizes[part], int(self.counts[part])
        first, last = epoch * count, (epoch + 1) * count
        passes = [self._pass(part, k) for k in range(first // size, -(-last // size))]
        begin = first - first // size * size
        return self._starts[part] + np.concatenate(passes)[begin : begin + count]

    def _pass(self, part: int, number: int) -> NDArray[np.int64]:
        generator = torch.Generator().manual_seed(mixed(self.seed, part, number))
        order: NDArray[np.int64] = torch.randperm(self.sizes[part], generator=generator).numpy()
        return order


def _shares(sizes: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Divides the sum of sizes by weights, with at least one each (largest remainders)."""
    exact = sizes.sum() * weights / weights.sum()
    counts = np.maximum(np.floor(exact).astype(np.int64), 1)
    rest = int(sizes.sum() - counts.sum())
    for part in np.argsort(np.floor(exact) - exact, kind="stable")[: max(rest, 0)]:
        counts[part] += 1
    return counts


#: Functions from the sizes of data sets to their numbers of items per epoch.
MIXINGS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "proportional": lambda sizes: sizes,
    "sqrt": lambda sizes: _shares(sizes, np.sqrt(sizes)),
    "round_robin": lambda sizes: _shares(sizes, np.ones(len(sizes))),
}


def mixed_loader(
    dataset: MixedDataset,
    tasks: Mapping[str, Task],
    batch_size: int,
    *,
    train: bool,
    mixing: str = "proportional",
    seed: int = 0,
    workers: int = 0,
) -> ImageLoader:
    """Creates a loader of batches with targets of all tasks.

    Args:
        dataset: The data sets.
        tasks: The tasks by name; see :func:`collate_for`.
        batch_size: Items per batch.
        train: Random order; an incomplete last batch is dropped unless it is the only one.
            Otherwise all items in order.
        mixing: See :class:`MixedSampler`.
        seed: Seed of the order and of random transforms.
        workers: Number of loading processes.

    Raises:
        InputError: If there is no such mixing, or a number is out of range.
    """
    if batch_size < 1 or workers < 0:
        raise InputError(f"batch size {batch_size} and workers {workers}: expected >= 1 and >= 0")
    sampler = MixedSampler(dataset.sizes, seed, mixing) if train else None
    return ImageLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=train and len(dataset) >= batch_size,
        num_workers=workers,
        collate_fn=collate_for(tasks),
        persistent_workers=workers > 0,
        worker_init_fn=leave_interrupts_to_the_parent,
        pin_memory=torch.cuda.is_available(),
    )
