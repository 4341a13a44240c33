"""A torch data set of a source and a transform."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from gatlabel.batch import Item
from gatlabel.data.cache import ImageCache
from gatlabel.data.disk_cache import DiskCache
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError, unknown_choice


class ImageDataset(Dataset[Item]):
    """Transformed images with their targets.

    An item is ``(image, target, index)``: uint8 ``(3, S, S)``, float32 ``(L,)``, and the position
    in the source. Pixels stay uint8 until they are normalised on the device.

    Args:
        source: The images.
        transform: Maps uint8 ``(3, h, w)`` to uint8 ``(3, S, S)``. If it has an attribute
            ``decode_side``, images are decoded no larger than necessary for it.
        cache: ``"memory"`` stores decoded images, shrunk to ``decode_side``, from
            :meth:`fill_cache` or the first access on: about 0.2 MB per image at 224 pixels. It is
            meant for up to some thousand images; those beyond a third of the memory are decoded
            each time. ``"disk"`` stores them in a file that later runs reuse; it is rebuilt when
            the content of an image file changes.
        folder: Folder of the files of ``"disk"``.

    Raises:
        InputError: If ``cache`` is unknown, or ``"disk"`` has no folder; on access, if an image
            cannot be decoded.
    """

    def __init__(
        self,
        source: ImageSource,
        transform: Callable[[Tensor], Tensor],
        cache: Literal["none", "memory", "disk"] = "none",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if cache not in ("none", "memory", "disk"):
            raise unknown_choice("cache", cache, ("none", "memory", "disk"))
        if cache == "disk" and folder is None:
            raise InputError("a cache on disk needs its folder: give folder=…")
        self.source = source
        self.transform = transform
        self.side: int | None = getattr(transform, "decode_side", None)
        self.targets = source.targets
        self.cache: ImageCache | DiskCache | None = None
        if cache == "memory":
            self.cache = ImageCache(len(source))
        elif cache == "disk" and folder is not None:
            self.cache = DiskCache(source, self.side, folder)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, item: int | tuple[int, int]) -> Item:
        """Returns one item.

        Args:
            item: The position, or ``(position, seed)``. With a seed, random transforms depend on
                it alone, and not on the worker or on earlier draws.
        """
        if not isinstance(item, tuple):
            return self.transform(self._image(item)), self.targets.rows(item), item
        index, seed = item
        image = self._image(index)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.transform(image), self.targets.rows(index), index

    def __getitems__(self, items: Sequence[int | tuple[int, int]]) -> list[Item] | InputError:
        """Returns the items of a batch; in a worker process, an error is returned, not raised.

        Raised there, its message would include the worker's traceback. The error is raised in the
        main process by :class:`~gatlabel.data.loading.ImageLoader`.
        """
        try:
            return [self[item] for item in items]
        except InputError as error:
            if get_worker_info() is None:
                raise
            return error

    def fill_cache(self, threads: int = 2) -> None:
        """Decodes all images into the cache, if there is one, so that workers share it."""
        if self.cache is not None:
            self.cache.fill(self._decode, self.side, threads)

    def _image(self, index: int) -> Tensor:
        if self.cache is None:
            return self._decode(index)
        return self.cache.get(index, self._decode, self.side)

    def _decode(self, index: int) -> Tensor:
        if self.side is None:
            return self.source.load(index)
        # twice the side, so that the better filter does most of the shrinking: a JPEG decoded at
        # barely 1x differs from the full one by 0.7 grey levels after resizing, at 2x by 0.2
        return self.source.load_at_least(index, 2 * self.side)
