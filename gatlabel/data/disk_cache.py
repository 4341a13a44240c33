"""A disk cache of decoded, resized images in one file, with a checksum per image."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
import weakref
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.data.cache import decoded_in_order, decoded_to_side
from gatlabel.data.sole_writer import remove_leftovers, sole_writer
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError

VERSION = 2
"""Version of the file format and of the resizing: increase it when either changes."""

LONGEST_SIDE = 2**24  # pixels: three times the product of two fits int64
_DECODERS = ("pillow", "simplejpeg", "torch")  # other versions may give other pixels
_FOOTER = struct.Struct("<8sQ32s")  # magic, number of images, SHA-256 of the table
_MAGIC = b"gatlabel"
_log = logging.getLogger(__name__)


class _Opened(NamedTuple):
    handle: int
    table: NDArray[np.int64]  # (N, 3): height, width and checksum
    starts: NDArray[np.int64]  # (N,)


class DiskCache:
    """uint8 images of different sizes in one file, with a table of sizes and checksums.

    The file name is a hash of the contents of the images, the stored size, and the versions of the
    decoders: if any of these changes, a new file is written. It is written atomically. Of several
    processes that need it, one writes it and the others wait. They read the file and do not map
    it, so that truncation or damage in the meantime is detected.

    An image with a wrong checksum is decoded again and the file is removed, with a warning; the
    next run writes a new one.

    Args:
        source: The images.
        side: Images with a longer shorter side are stored shrunk to it; ``None`` keeps their size.
        folder: Folder of the file; created if necessary. It can be deleted at any time.

    Raises:
        InputError: If the source cannot detect changes of its images, an image is missing, or the
            folder name is invalid.
    """

    def __init__(
        self, source: ImageSource, side: int | None, folder: str | os.PathLike[str]
    ) -> None:
        self._source = source
        self._side = side
        self._folder = Path(folder)
        if "\0" in str(folder):
            raise InputError(f"{str(folder)!r} is not a valid folder name: give another")
        self.path = self._named()
        self._opened: _Opened | None = None

    def _named(self) -> Path:
        key = {
            "version": VERSION,
            "side": self._side,
            "images": self._source.fingerprint(),
            **{name: version(name) for name in _DECODERS},
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        return self._folder / f"images-{name}.u8"

    @property
    def filled(self) -> bool:
        """Whether all images are in the cache."""
        if self._opened is None:
            self._open()
        return self._opened is not None

    @property
    def bytes(self) -> int:
        """Disk space used by the images."""
        if not self.filled:
            return 0
        assert self._opened is not None
        return int(_sizes(self._opened.table).sum())

    def get(self, index: int, decode: Callable[[int], Tensor], side: int | None) -> Tensor:
        """Returns an image; fills the cache first if necessary."""
        if not self.filled:
            self.fill(decode, side, threads=1)
        assert self._opened is not None
        height, width, checksum = self._opened.table[index].tolist()
        image = torch.empty(height, width, 3, dtype=torch.uint8)
        pixels = image.view(-1).numpy()
        try:
            read = os.preadv(self._opened.handle, [pixels.data], int(self._opened.starts[index]))
        except OSError:
            read = 0
        if read != len(pixels) or _checksum(pixels) != checksum:
            self._give_up("is damaged: its images are decoded, and the next run rebuilds it")
            return decoded_to_side(decode, index, side)
        return image.permute(2, 0, 1)  # (3, H, W)

    def fill(self, decode: Callable[[int], Tensor], side: int | None, threads: int) -> None:
        """Decodes all images and writes them, unless the file exists.

        Args:
            decode: Maps a position to uint8 ``(3, h, w)``.
            side: Images with a longer shorter side are shrunk to it; ``None`` keeps their size.
            threads: Number of decoding threads.

        Raises:
            InputError: If the file cannot be written, or an image changed in the meantime; no
                partial file remains.
        """
        remove_leftovers(self._folder, "images-*.u8")
        if self.filled:
            return
        try:
            with sole_writer(self.path, lambda: self.filled) as file:
                if file is not None:
                    _write(file, decoded_in_order(decode, len(self._source), side, threads))
                    self._require_unchanged()
        except OSError as error:
            raise InputError(
                f"cannot write the image cache {self.path}: {error.strerror}; give another "
                "cache folder, or cache=none"
            ) from error
        if not self.filled:
            raise InputError(f"the image cache {self.path} was removed while it was written")

    def _require_unchanged(self) -> None:
        if self._named() != self.path:
            raise InputError(
                "images changed while they were written to the cache: start again when they no "
                "longer change"
            )

    def _open(self) -> None:
        """Opens the file if it exists and is complete; images are checked when they are read."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError:
            return
        table = _read_table(handle, len(self._source))
        if table is None:
            os.close(handle)
            self._give_up("is damaged and is rebuilt")
            return
        weakref.finalize(self, os.close, handle)
        sizes = _sizes(table)
        self._opened = _Opened(handle, table, np.cumsum(sizes) - sizes)

    def _give_up(self, why: str) -> None:
        """Removes the file; processes that have it open can go on reading it."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return  # another process has reported it
        except OSError:
            why = "is damaged, and cannot be removed"
        _log.warning("the image cache %s %s", self.path, why)

    def __getstate__(self) -> dict[str, Any]:
        """Excludes the open file: each worker opens it itself."""
        return {**self.__dict__, "_opened": None}


def _write(file: BinaryIO, images: Iterable[Tensor]) -> None:
    rows = []
    for image in images:
        pixels = image.permute(1, 2, 0).contiguous().view(-1).numpy()
        file.write(pixels.data)
        rows.append((image.shape[1], image.shape[2], _checksum(pixels)))
    table = np.array(rows, "<i8").reshape(-1, 3).tobytes()
    file.write(table + _FOOTER.pack(_MAGIC, len(rows), hashlib.sha256(table).digest()))


def _checksum(pixels: NDArray[np.uint8]) -> int:
    """Returns the sum of the 8-byte words, which detects every flipped bit and lost page.

    A CRC-32 takes six times as long, a tenth of the time to load a cached image.
    """
    end = len(pixels) // 8 * 8
    total = int(pixels[:end].view("<i8").sum()) + int(pixels[end:].sum())
    return (total + (1 << 63)) % (1 << 64) - (1 << 63)  # as a signed number of 64 bits


def _read_table(handle: int, count: int) -> NDArray[np.int64] | None:
    """Returns heights, widths and checksums, or ``None`` if the file is incomplete."""
    try:
        size = os.fstat(handle).st_size
        end = os.pread(handle, _FOOTER.size, max(0, size - _FOOTER.size))
        magic, images, digest = _FOOTER.unpack(end)
        start = size - _FOOTER.size - 24 * count
        if magic != _MAGIC or images != count or start < 0:
            return None
        content = os.pread(handle, 24 * count, start)
    except (OSError, struct.error):
        return None
    if hashlib.sha256(content).digest() != digest:
        return None
    table = np.frombuffer(content, "<i8").reshape(-1, 3)
    sides = table[:, :2]
    if ((sides < 1) | (sides > LONGEST_SIDE)).any():
        return None
    return table if _sizes(table).sum() == start else None


def _sizes(table: NDArray[np.int64]) -> NDArray[np.int64]:
    sizes: NDArray[np.int64] = 3 * table[:, 0] * table[:, 1]
    return sizes
