"""Evaluation preprocessing in NumPy, bit-identical to torch, which takes seconds to import.

An ONNX bundle runs without torch. :func:`prepared` resizes its images exactly as
:func:`~gatlabel.encoders.Preprocessing` does in evaluation. (On a processor without AVX2 or NEON,
torchvision computes ``crop`` in float32, and a value may differ by one level.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gatlabel.encoders.sizes import LONGEST, MEAN_COLOUR, Resize

Pixels = NDArray[np.uint8]

_BLOCK = 1 << 14  # pixels computed at a time


def prepared(pixels: Pixels, size: int, resize: Resize) -> Pixels:
    """Resizes an image to the size of a model.

    Args:
        pixels: ``(h, w, 3)``, RGB.
        size: Side S of the result in pixels.
        resize: See :func:`~gatlabel.encoders.Preprocessing`.

    Returns:
        ``(S, S, 3)``.
    """
    height, width, _ = pixels.shape
    if resize == "squash":
        return resized(pixels, size, size)
    if resize == "pad":
        longer = max(height, width)
        height, width = (max(1, round(side * size / longer)) for side in (height, width))
        top, left = (size - height) // 2, (size - width) // 2
        padded = np.full((size, size, 3), MEAN_COLOUR, np.uint8)
        padded[top : top + height, left : left + width] = resized(pixels, height, width)
        return padded
    pixels = _centre(pixels, *(min(side, LONGEST * min(height, width)) for side in (height, width)))
    height, width, _ = pixels.shape
    shorter = min(height, width)
    larger = resized(pixels, *(int(size * side / shorter) for side in (height, width)))
    height, width, _ = larger.shape
    top, left = round((height - size) / 2), round((width - size) / 2)
    return larger[top : top + size, left : left + size]


def _centre(pixels: Pixels, height: int, width: int) -> Pixels:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resizes, bilinear and antialiased, with the fixed-point arithmetic of torch for uint8.

    First along the rows, then along the columns, each rounded to uint8. Pillow does the same with
    more bits, and occasionally differs by one level.

    Args:
        pixels: ``(h, w, 3)``.
        height: Height of the result.
        width: Width of the result.

    Returns:
        ``(height, width, 3)``.
    """
    if pixels.shape[1] != width:
        pixels = _along(pixels.swapaxes(0, 1), width).swapaxes(0, 1)
    if pixels.shape[0] != height:
        pixels = _along(pixels, height)
    return pixels


def _along(pixels: Pixels, length: int) -> Pixels:
    """Resizes the first axis, in blocks of the second so that sums stay in the CPU cache."""
    places, weights, precision = _taps(pixels.shape[0], length)
    result = np.empty((length, *pixels.shape[1:]), np.uint8)
    step = max(1, _BLOCK // length)
    for start in range(0, pixels.shape[1], step):
        block = np.ascontiguousarray(pixels[:, start : start + step])
        total = np.full((length, *block.shape[1:]), 1 << (precision - 1), np.int32)
        for place, weight in zip(places, weights, strict=True):
            total += block[place] * weight[:, None, None]
        result[:, start : start + step] = total >> precision
    return result


@lru_cache(maxsize=64)
def _taps(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Returns the source positions and weights of each new pixel along an axis.

    Like ``_compute_index_ranges_int16_weights`` of torch: triangular weights that sum to 1 in
    float64, converted to 16-bit integers with as many bits as the largest weight allows.

    Returns:
        Positions and weights, each ``(taps, new)``, and the bits after the binary point.
    """
    scale = old / new
    support = max(scale, 1.0)
    centre = scale * (np.arange(new) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int64), old) - first
    tap = np.arange(count.max())[:, None]
    distance = np.abs((tap + first - centre + 0.5) * (1 / support))
    weights = np.where(tap < count, np.maximum(1 - distance, 0), 0)
    weights /= weights.sum(0)
    largest = float(weights.max())
    precision = 0
    while precision < 22 and math.floor(0.5 + largest * (1 << (precision + 1))) < 1 << 15:
        precision += 1
    places = np.minimum(tap + first, old - 1)
    return places, (weights * (1 << precision) + 0.5).astype(np.int32), precision
