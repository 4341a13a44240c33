"""Silhouettes of the labels: vendored outlines, rasterised once at several sizes.

The outlines are glyphs of Font Awesome Free (CC BY 4.0) and Material Design Icons (Apache 2.0), and
a few original shapes. The files ``assets/LICENSE-*`` contain the attribution;
``benchmarks/assets/make_silhouettes.py`` creates the file.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

ASSETS = Path(__file__).parent / "assets"
RASTER = 256  # pixels of the largest raster; smaller ones are halved from it
SMALLEST = 16
MARGIN = 1 / 16  # empty share on each side, so that interpolation fades out at the edge


@lru_cache(maxsize=1)
def _outlines() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ASSETS / "silhouettes.json").read_text("utf-8"))
    return result


@lru_cache(maxsize=1)
def silhouette_names() -> tuple[str, ...]:
    """Returns the labels that have a silhouette (COCO's names)."""
    return tuple(_outlines()["labels"])


@cache
def label_rasters(name: str) -> tuple[tuple[Image.Image, ...], ...]:
    """Returns the silhouettes of one label: for each variant its rasters, largest first.

    Args:
        name: One of :func:`silhouette_names`.

    Returns:
        Images of mode ``L``, 255 inside and 0 outside, with sides 256, 128, … 16.
    """
    variants = _outlines()["labels"][name]
    return tuple(_pyramid(contours) for contours in variants.values())


@lru_cache(maxsize=1)
def distractor_rasters() -> tuple[tuple[Image.Image, ...], ...]:
    """Returns the silhouettes of things that are not labels, in the same form."""
    return tuple(_pyramid(contours) for contours in _outlines()["distractors"].values())


def _pyramid(contours: list[list[int]]) -> tuple[Image.Image, ...]:
    inside = _winding(contours, RASTER * 2) != 0
    image = Image.fromarray(inside.astype(np.uint8) * 255).reduce(2)
    levels = [image]
    while levels[-1].width > SMALLEST:
        levels.append(levels[-1].reduce(2))
    return tuple(levels)


def _winding(contours: list[list[int]], side: int) -> NDArray[np.int16]:
    """Returns the winding number of each pixel: overlaps unite, reversed contours cut out."""
    total = np.zeros((side, side), dtype=np.int16)
    scale = side * (1 - 2 * MARGIN) / _outlines()["unit"]
    for contour in contours:
        points = np.array(contour, dtype=np.float64).reshape(-1, 2) * scale + side * MARGIN
        x, y = points.T
        area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        canvas = Image.new("L", (side, side))
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in points.tolist()], fill=1)
        total += np.asarray(canvas, dtype=np.int16) * (1 if area > 0 else -1)
    return total
