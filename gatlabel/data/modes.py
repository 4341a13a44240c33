"""Conversion of Pillow images of any mode to RGB, uint8, upright."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

BACKGROUND = (255, 255, 255)

_STRIP = 1 << 16  # pixels converted at a time: intermediate copies fit the cache


def image_to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Converts a Pillow image of any mode to RGB; see :func:`~gatlabel.data.decode_image`.

    Args:
        image: The image; an EXIF orientation is applied.

    Returns:
        uint8 ``(height, width, 3)``, RGB, 0 to 255.

    Raises:
        ValueError: If it has no pixels, or the range of its values does not define white.
    """
    if not (image.width and image.height):
        raise ValueError(f"it has no pixels: {image.width} x {image.height}")
    return upright(_rgb(image), image)


def upright(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Rotates or flips ``(H, W, 3)`` according to the image's EXIF orientation."""
    return np.ascontiguousarray(_turned(pixels, _orientation(image)))


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Returns ``(H, W, 3)``."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        grey = _scale_float(values) if image.mode == "F" else _scale_16_bit(values)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "LAB":
        image = image.convert("RGB")  # at once: the setup of each conversion is slow
    strips = list(_strips(image.height, image.width))
    if len(strips) == 1:
        return np.array(_converted(image))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows in strips:
        part = image.crop((0, rows.start, image.width, rows.stop))
        pixels[rows] = np.asarray(_converted(part))
    return pixels


def _converted(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "RGB" and not image.has_transparency_data:
        return image  # converting would copy it
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _strips(height: int, width: int) -> Iterator[slice]:
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # a damaged EXIF block does not affect the image
        return 1
    return orientation if isinstance(orientation, int) else 1


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undoes an EXIF orientation (EXIF 2.32, tag 0x0112); 1 and undefined values do nothing."""
    turns = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels[::-1].swapaxes(0, 1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels[:, ::-1].swapaxes(0, 1),
    }
    return turns.get(orientation, pixels)


def _scale_16_bit(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"32-bit values from {low} to {high}; only 0 to 65535 have a known white")
    grey = np.empty(values.shape, np.uint8)
    for rows in _strips(*values.shape):
        grey[rows] = (values[rows].astype(np.int64) + 128) // 257
    return grey


def _scale_float(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # also refuses NaN
        raise ValueError(f"floating-point values from {low} to {high}; expected 0 to 1, or to 255")
    grey = np.empty(values.shape, np.uint8)
    for rows in _strips(*values.shape):
        wide = values[rows].astype(np.float64)
        grey[rows] = np.rint(wide * 255 if high <= 1 else wide)
    return grey
