"""Decoding of image files of any mode to RGB, uint8, upright."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.image_files import (
    MAX_PIXELS,
    largest_file,
    not_found,
    open_image,
    reason_of,
    regular_file,
    require_all_tiles,
    shown_name,
)
from gatlabel.data.memory_budget import DECODING
from gatlabel.data.modes import image_to_pixels, upright
from gatlabel.errors import InputError
from gatlabel.reading import read_at_most

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from torch import Tensor

_SMALL_FILE = 1 << 24  # bytes; larger files are read only once the memory budget admits them
_MOST_SCANS = 500  # of a JPEG; each processes the whole image, and may take a dozen bytes
_MOST_COMMENTS = 100  # Pillow's time grows with their number times the size of the rest
_PPM_AS_TEXT = (b"P1", b"P2", b"P3")
_BYTES_PER_PIXEL = {"JPEG": 10, "MPO": 10, "WEBP": 20, "AVIF": 16}  # while decoding


def decode_image(
    file: str | os.PathLike[str] | bytes,
    *,
    at_least: int | None = None,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Tensor:
    """Decodes an image: colour JPEGs with simplejpeg (libjpeg-turbo), all others with Pillow.

    Both give the same pixels; simplejpeg takes about a quarter less time. The formats are listed in
    :data:`~gatlabel.data.image_files.FORMATS`. Modes are treated as follows:

    - grey, 1-bit, palette, YCbCr, CIELAB: converted to RGB; CMYK: converted, with the inverted inks
      that JPEG files of this mode have by Adobe's convention;
    - alpha channel, transparent palette entry or transparent colour: composed on white;
    - 16 bits per channel: scaled (65535 becomes 255), not clipped; 32-bit integers are read as 16
      bits and refused if they exceed them; floats are read as 0 to 1 or as 0 to 255, or refused;
    - EXIF orientation: applied, so that the image is upright; an invalid one is ignored;
    - several frames: the first. Colour profiles are ignored.

    The size is checked against the limit before decoding. All threads of the process together
    decode in about 1 GiB, or one image at a time if it needs more.

    Args:
        file: A path, or the encoded bytes.
        at_least: If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (much faster)
            as long as neither side becomes shorter than this many pixels.
        name: Name of the image in errors, instead of the path.
        max_pixels: Maximum number of pixels (width times height) declared in the file.

    Returns:
        uint8 ``(3, height, width)``, RGB, 0 to 255.

    Raises:
        InputError: If the file is missing, not a regular file, truncated, not an image or too
            large; the message names it.
    """
    import torch

    pixels = decode_pixels(file, at_least=at_least, name=name, max_pixels=max_pixels)
    return torch.from_numpy(pixels).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def decode_pixels(
    file: str | os.PathLike[str] | bytes,
    *,
    at_least: int | None = None,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decodes an image like :func:`decode_image`, without loading torch.

    Args:
        file: See :func:`decode_image`, as for the other arguments.
        at_least: See there.
        name: See there.
        max_pixels: See there.

    Returns:
        uint8 ``(height, width, 3)``, RGB, 0 to 255.

    Raises:
        InputError: See there.
    """
    try:
        with DECODING.scope():
            data = file if isinstance(file, bytes) else _read(file, max_pixels)
            return _decode(data, at_least, max_pixels)
    except Exception as error:  # Pillow's plugins raise various errors for damaged files
        if isinstance(error, FileNotFoundError) and not isinstance(file, bytes):
            raise InputError(not_found(name or file)) from error
        shown = shown_name(name or ("the given bytes" if isinstance(file, bytes) else file))
        raise InputError(f"cannot decode the image {shown}: {reason_of(error)}") from error


def _read(path: str | os.PathLike[str], max_pixels: int) -> bytes:
    with regular_file(path, max_pixels) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _SMALL_FILE:
            with open_image(file, max_pixels) as header:
                DECODING.take(size + _memory(header, header.width * header.height, scans=2))
            file.seek(0)
        data = read_at_most(file, largest_file(max_pixels))
    if data is None:
        raise ValueError("it grew while it was read")
    return data


def _decode(data: bytes, at_least: int | None, max_pixels: int) -> NDArray[np.uint8]:
    with open_image(io.BytesIO(data), max_pixels) as image:
        width, height = image.size
        if at_least is not None:
            image.draft(None, (at_least, at_least))  # does nothing unless it is a JPEG
        DECODING.take(_memory(image, width * height, _scans(image, data)))
        if image.format in ("JPEG", "MPO") and image.mode == "RGB":
            with contextlib.suppress(ValueError):  # Pillow's error message is better
                return _decode_jpeg(data, image, (height, width))
        require_all_tiles(image)
        image.load()
        return image_to_pixels(image)


def _memory(image: ImageFile, pixels: int, scans: int) -> int:
    """Returns the approximate memory for decoding in bytes: the pixels and the buffers."""
    width, height = image.size  # after draft(), the reduced size
    memory = _BYTES_PER_PIXEL.get(image.format or "", 12) * width * height
    # with several scans all coefficients are stored, whatever the draft size
    return memory + (6 * pixels if scans > 1 else 0)


def _scans(image: ImageFile, data: bytes) -> int:
    """Returns the number of passes over the image: more than one for some JPEGs.

    Raises:
        ValueError: If they would take hours; also for a text PPM file with as many comments.
    """
    if image.format == "PPM" and data[:2] in _PPM_AS_TEXT and data.count(b"#") > _MOST_COMMENTS:
        raise ValueError("its comments are too many")
    if image.format not in ("JPEG", "MPO") or _is_one_scan(image, data):
        return 1
    scans = data.count(b"\xff\xda")
    if scans > _MOST_SCANS:
        raise ValueError(f"its {scans} scans are too many")
    return scans


def _is_one_scan(image: ImageFile, data: bytes) -> bool:
    """Whether a JPEG is known to be baseline with all colours in one scan, as nearly all are.

    When opened, it has been read up to the end of the first scan's header: a marker, a length and
    the number of components. Counting markers in the whole file would take a tenth of the decoding.
    """
    end = image.fp.tell() if image.fp else 0
    return not image.info.get("progressive") and data[end - 14 : end - 9] == b"\xff\xda\x00\x0c\x03"


def _decode_jpeg(data: bytes, header: ImageFile, full_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decodes a colour JPEG with the size and orientation of its opened header.

    Raises:
        ValueError: If simplejpeg fails, or reads another size than the one that was checked.
    """
    import simplejpeg

    if simplejpeg.decode_jpeg_header(data)[:2] != full_size:
        raise ValueError("two readers of the header differ")
    width, height = header.size  # after draft(), the reduced size
    pixels = simplejpeg.decode_jpeg(data, min_height=height, min_width=width)  # (H, W, 3)
    return upright(pixels, header)
