"""Opening of untrusted image files: accepted formats and limits of size.

Only this module opens encoded images.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import math
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 128_000_000
"""Default limit on width times height, above that of the largest phones and most cameras."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""Accepted formats, by Pillow's names. Its other plugins run programs (EPS) or are rare."""

_PLUGINS = ("Jpeg", "Mpo", "Png", "WebP", "Bmp", "Gif", "Tiff", "Ppm", "Avif")
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_IGNORED = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


@contextmanager
def regular_file(path: str | os.PathLike[str], max_pixels: int) -> Iterator[BufferedReader]:
    """Opens a regular file without blocking, as a pipe without a writer would.

    Args:
        path: The file.
        max_pixels: Files with more than 8 bytes per pixel of this limit are refused.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is not a regular file or too large, or the name is invalid.
    """
    path = os.fsdecode(path)
    # before opening: opening a device may have effects. Not by Path, as that of "" is the folder
    _require_regular(os.stat(path))  # noqa: PTH116
    # a path that is replaced by a pipe after the check does not block either
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAITING)) as file:
        status = os.fstat(file.fileno())
        _require_regular(status)
        if status.st_size > largest_file(max_pixels):
            raise ValueError(f"its {status.st_size:,} bytes are too many for an image")
        yield file


def largest_file(max_pixels: int) -> int:
    """Returns the maximum size in bytes of a file with an image of this many pixels."""
    return 8 * max_pixels + (1 << 24)  # four channels of 16 bits, plus metadata


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise ValueError(f"it is {kind}, not a file")


def open_image(file: IO[bytes], max_pixels: int) -> ImageFile:
    """Reads the header of an image in one of :data:`FORMATS` without decoding it.

    Args:
        file: The encoded image.
        max_pixels: Maximum number of pixels of the image. If it exceeds Pillow's own limit, that
            limit is raised for the process.

    Raises:
        ValueError: If the image exceeds the limit.
        Exception: Errors of Pillow for damaged files.
    """
    from PIL import Image

    formats = _known_formats()
    _quieten_pillow()
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        image = Image.open(file, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(_too_large("it", max_pixels)) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(_too_large(f"{width} x {height}", max_pixels))
    if _tile_pixels(image) > max_pixels:
        raise ValueError(_too_large("a tile of it", max_pixels))
    return image


def require_few_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raises the ``ValueError`` of :func:`open_image` for a given size."""
    if width * height > max_pixels:
        raise ValueError(_too_large(f"{width} x {height}", max_pixels))


def require_all_tiles(image: ImageFile) -> None:
    """Checks that the strips or tiles of a TIFF cover the whole image; Pillow leaves gaps black.

    Raises:
        ValueError: If some are missing at the right or at the bottom.
    """
    if image.format != "TIFF" or not image.tile:  # already decoded
        return
    tags = getattr(image, "tag_v2", {})
    boxes = [tile[1] or (0, 0, *image.size) for tile in image.tile]
    ends = (max((box[2] for box in boxes), default=0), max((box[3] for box in boxes), default=0))
    if ends[0] < tags.get(256, 0) or ends[1] < tags.get(257, 0):  # ImageWidth, ImageLength
        raise ValueError(f"it has data for {ends[0]} x {ends[1]} pixels only")


def _too_large(what: str, max_pixels: int) -> str:
    has = "is" if what[0].isdigit() else "has"
    return f"{what} {has} more than {max_pixels:,} pixels; max-pixels sets the limit"


def _tile_pixels(image: ImageFile) -> int:
    """Returns the pixels of one TIFF tile, which is decoded whole even if the image is smaller."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    sides = (tags.get(322, 0), tags.get(323, 0))  # TileWidth, TileLength
    return math.prod(side if isinstance(side, int) else 0 for side in sides)


@cache
def _known_formats() -> tuple[str, ...]:
    """Returns the :data:`FORMATS` of this Pillow; unknown names would import all its plugins."""
    from PIL import Image

    for name in _PLUGINS:
        with suppress(ImportError):
            importlib.import_module(f"PIL.{name}ImagePlugin")
    with suppress(AttributeError):
        # glibc keeps blocks of less than 32 MB for each thread: after 16 threads have decoded one
        # large image each, all their memory would still be allocated.
        Image.core.set_block_size(1 << 26)  # type: ignore[attr-defined]
    _quieten_libtiff()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # otherwise its warnings are printed
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _quieten_libtiff() -> None:
    """Keeps the TIFF library from printing errors to the terminal; Pillow raises them."""
    with suppress(OSError, AttributeError):  # on systems without such a list of loaded libraries
        loaded = Path("/proc/self/maps").read_text(errors="replace")
        for library in set(re.findall(r"(/\S*libtiff\S*)", loaded)):
            ctypes.CDLL(library).TIFFSetErrorHandler(None)


def _quieten_pillow() -> None:
    """Ignores Pillow's warnings, unless a filter of the caller accepts them.

    The filter is the last one, so it applies only if no other does. Setting filters temporarily
    would affect all threads.
    """
    if _IGNORED not in warnings.filters:
        warnings.filterwarnings("ignore", module=_IGNORED[3].pattern, append=True)


def shown_name(path: str | os.PathLike[str]) -> str:
    """Returns a path on one line, with line breaks and control characters escaped."""
    name = os.fsdecode(path)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name) or "''"


def not_found(path: str | os.PathLike[str]) -> str:
    """Returns the message for a file that is missing."""
    name = shown_name(path)
    web = re.search(r"(?:^|[/\\])(?:https?|ftp|s3|gs|file|data):", name, re.IGNORECASE)
    hint = "; images are not downloaded: give the path of a file" if web else ""
    return f"there is no image {name}{hint}"


def reason_of(error: BaseException) -> str:
    """Returns a one-line reason why an image cannot be read, from the exception."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return f"not an image in a known format ({', '.join(_known_formats())})"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError) and "null byte" in str(error):
        return "invalid file name"
    return " ".join(str(error).split()) or type(error).__name__
