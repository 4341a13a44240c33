"""Image files as they come from others: what is read, what is opened, and how large it may be.

This is the one place of the package that opens encoded images.
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
"""Default limit on width times height: above that of the largest phones and most cameras."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""What is opened, by Pillow's names. Its other plugins run programs (EPS) or read rare formats."""

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
    """Opens a regular file without waiting: a pipe that nobody writes to would hang.

    Args:
        path: The file.
        max_pixels: A file of more than 8 bytes for each of these is refused.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is no regular file, too large, or no file can have this name.
    """
    path = os.fsdecode(path)
    # First: opening a device may already do something. Not by Path: that of "" is the folder.
    _require_regular(os.stat(path))  # noqa: PTH116
    # a path that is swapped for a pipe after the check does not block either
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAITING)) as file:
        status = os.fstat(file.fileno())
        _require_regular(status)
        if status.st_size > largest_file(max_pixels):
            raise ValueError(f"its {status.st_size:,} bytes are too many for an image")
        yield file


def largest_file(max_pixels: int) -> int:
    """Returns the most bytes of a file that may hold an image of so many pixels."""
    return 8 * max_pixels + (1 << 24)  # four channels of 16 bits, and room for what goes with them


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise ValueError(f"it is {kind}, not a file")


def open_image(file: IO[bytes], max_pixels: int) -> ImageFile:
    """Reads the header of an image in one of :data:`FORMATS`, and decodes nothing.

    Args:
        file: The encoded image.
        max_pixels: Most pixels that the image may have. Where this is above Pillow's own limit,
            that is raised for the process.

    Raises:
        ValueError: If the image has more pixels.
        Exception: Whatever Pillow raises on broken files.
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
    """Raises the ``ValueError`` of :func:`open_image` for a size that is known otherwise."""
    if width * height > max_pixels:
        raise ValueError(_too_large(f"{width} x {height}", max_pixels))


def require_all_tiles(image: ImageFile) -> None:
    """Checks that a TIFF file has strips or tiles for all of its image; Pillow leaves gaps black.

    Raises:
        ValueError: If some are missing at the right or at the bottom.
    """
    if image.format != "TIFF" or not image.tile:  # it has been decoded already
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
    """Pixels of one tile of a TIFF file, which is decoded whole even where the image is smaller."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    sides = (tags.get(322, 0), tags.get(323, 0))  # TileWidth, TileLength
    return math.prod(side if isinstance(side, int) else 0 for side in sides)


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this Pillow has; asked for another, it imports all plugins."""
    from PIL import Image

    for name in _PLUGINS:
        with suppress(ImportError):
            importlib.import_module(f"PIL.{name}ImagePlugin")
    with suppress(AttributeError):
        # Blocks of less than 32 MB come from memory that glibc keeps for each thread: after 16
        # threads have decoded a large image each, all that they needed would still be taken.
        Image.core.set_block_size(1 << 26)  # type: ignore[attr-defined]
    _quieten_libtiff()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its warnings are printed
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _quieten_libtiff() -> None:
    """Keeps the C library of TIFF from writing its errors to the terminal; Pillow raises them."""
    with suppress(OSError, AttributeError):  # on a system without such a list of what is loaded
        loaded = Path("/proc/self/maps").read_text(errors="replace")
        for library in set(re.findall(r"(/\S*libtiff\S*)", loaded)):
            ctypes.CDLL(library).TIFFSetErrorHandler(None)


def _quieten_pillow() -> None:
    """Ignores Pillow's warnings, unless a filter of the caller's wants them.

    The filter stands last, so it decides only what no other does. To set filters for the time of a
    call would not do: they belong to all threads.
    """
    if _IGNORED not in warnings.filters:
        warnings.filterwarnings("ignore", module=_IGNORED[3].pattern, append=True)


def shown_name(path: str | os.PathLike[str]) -> str:
    """Returns a path on one line: line breaks, controls and broken characters as escapes."""
    name = os.fsdecode(path)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name) or "''"


def not_found(path: str | os.PathLike[str]) -> str:
    """Returns the message for a file that is missing."""
    name = shown_name(path)
    web = re.search(r"(?:^|[/\\])(?:https?|ftp|s3|gs|file|data):", name, re.IGNORECASE)
    hint = "; images are not downloaded: give the path of a file" if web else ""
    return f"there is no image {name}{hint}"


def reason_of(error: BaseException) -> str:
    """Returns what is wrong with an image on one line, from what was raised about it."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return f"not an image in a known format ({', '.join(_known_formats())})"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError) and "null byte" in str(error):
        return "no file can have this name"
    return " ".join(str(error).split()) or type(error).__name__
