"""Decoded, resized pictures kept in one file on disk and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.data.cache import shrink
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError
from gatlabel.files import WriteError, atomic_path, remove_leftovers

VERSION = 1
"""Of the file format and of how pictures are shrunk: raise it when either changes."""

_BLOCK = 256  # pictures decoded between two writes


class _Opened(NamedTuple):
    pixels: NDArray[np.uint8]
    shapes: NDArray[np.int64]  # (N, 2): height and width
    starts: NDArray[np.int64]  # (N,)


class DiskCache:
    """uint8 pictures of different sizes in one memory-mapped file, and an index beside it.

    The files are named by a hash of the pictures' fingerprint and the size they are kept in: when
    either changes, others are made. They appear whole or not at all, the index last, so that any
    number of processes may read, and two that fill at once do the same work twice and no harm.
    Worker processes share the operating system's copy of the file.

    Args:
        source: The pictures.
        side: Pictures with a longer shorter side are kept shrunk to this one; ``None``: in full.
        folder: Where the files are kept; made if it is not there. It can be deleted at any time
            that no run reads from it.

    Raises:
        InputError: If the source cannot tell when its pictures change, or a picture is missing.
    """

    def __init__(
        self, source: ImageSource, side: int | None, folder: str | os.PathLike[str]
    ) -> None:
        key = {"version": VERSION, "side": side, "pictures": source.fingerprint()}
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        self.pixels = Path(folder) / f"pictures-{name}.u8"
        self.index = Path(folder) / f"pictures-{name}.npz"
        self._count = len(source)
        self._opened: _Opened | None = None

    @property
    def filled(self) -> bool:
        """Whether all pictures are in the cache."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened is not None

    @property
    def bytes(self) -> int:
        """Space taken by the pictures on disk."""
        return self.pixels.stat().st_size if self.filled else 0

    def get(self, index: int, decode: Callable[[int], Tensor], side: int | None) -> Tensor:
        """Returns a picture, after filling the cache if that has not been done."""
        if not self.filled:
            self.fill(decode, side, threads=1)
        assert self._opened is not None
        height, width = (int(length) for length in self._opened.shapes[index])
        start = int(self._opened.starts[index])
        pixels = self._opened.pixels[start : start + 3 * height * width]
        return torch.from_numpy(pixels).view(height, width, 3).permute(2, 0, 1)  # (3, H, W)

    def fill(self, decode: Callable[[int], Tensor], side: int | None, threads: int) -> None:
        """Decodes all pictures and writes them, unless they are there.

        Args:
            decode: From position to uint8 ``(3, h, w)``.
            side: Pictures with a longer shorter side are shrunk to this one; ``None``: kept.
            threads: How many pictures are decoded at a time.

        Raises:
            InputError: If the files cannot be written; nothing is left behind then.
        """
        if self.filled:
            return
        remove_leftovers(self.pixels.parent)
        shapes: list[tuple[int, int]] = []
        try:
            with (
                atomic_path(self.pixels) as temporary,
                temporary.open("wb") as file,
                ThreadPoolExecutor(max(1, threads)) as pool,
            ):
                for first in range(0, self._count, _BLOCK):
                    positions = range(first, min(first + _BLOCK, self._count))
                    for picture in pool.map(lambda k: shrink(decode(k), side), positions):
                        shapes.append((picture.shape[1], picture.shape[2]))
                        file.write(picture.permute(1, 2, 0).contiguous().numpy().data)
            with atomic_path(self.index) as temporary:
                np.savez(temporary, shapes=np.array(shapes, np.int64).reshape(-1, 2))
        except WriteError as error:
            raise InputError(
                f"the picture cache: {error}; give another cache folder, or cache=none"
            ) from error
        if not self.filled:
            raise InputError(f"the picture cache {self.pixels} was removed while it was written")

    def _open(self) -> _Opened | None:
        """Maps the files, if they are there and whole."""
        try:
            # opened here: NumPy leaves damaged files open
            with self.index.open("rb") as file, np.load(file, allow_pickle=False) as index:
                shapes = index["shapes"]
            sizes = 3 * shapes.prod(1)
            if len(shapes) != self._count or self.pixels.stat().st_size != sizes.sum():
                return None
            # an empty file cannot be mapped, but there is no empty source either
            # copy on write: torch wants memory that it may write to, and the file stays as it is
            pixels = np.memmap(self.pixels, np.uint8, mode="c")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return _Opened(pixels, shapes, np.cumsum(sizes) - sizes)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the map out: a worker that is sent this opens the file itself."""
        return {**self.__dict__, "_opened": None}
