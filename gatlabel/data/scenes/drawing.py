"""Draws a planned scene: textured background, silhouettes, patches, noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from gatlabel.data.scenes.config import SceneConfig
from gatlabel.data.scenes.layout import Role, Shape
from gatlabel.data.scenes.silhouettes import (
    MARGIN,
    RASTER,
    SMALLEST,
    distractor_rasters,
    label_rasters,
)
from gatlabel.data.scenes.statistics import silhouette_of

Canvas = NDArray[np.float32]  # (size, size, 3), 0 to 255
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def draw_scene(
    config: SceneConfig, names: Sequence[str], shapes: Sequence[Shape], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draws one scene.

    Args:
        config: How scenes look.
        names: The L label names.
        shapes: From :func:`gatlabel.data.scenes.layout.plan_scene`.
        rng: The picture's random stream.

    Returns:
        uint8 ``(size, size, 3)``, RGB.
    """
    canvas = background(config, rng)
    for shape in shapes:
        if shape.role is Role.BEHIND:  # its patch covers it whole
            continue
        _draw(canvas, config, _raster(shape, names), shape, rng)
    noise = rng.integers(-128, 128, canvas.shape, dtype=np.int8)
    canvas += noise * np.float32((2 + 8 * config.difficulty) / 74)  # 74: deviation of the integers
    return canvas.clip(0, 255).astype(np.uint8)


def background(config: SceneConfig, rng: np.random.Generator) -> Canvas:
    """A soft texture: two colours, blotches at two scales and, at times, stripes."""
    size = config.size
    base = rng.random(3) * 150 + 50
    rough = np.zeros((size, size, 3), dtype=np.float32) + base.astype(np.float32)
    spread = 18 + 34 * config.difficulty
    for cells in (3, 7 + int(rng.random() * 8)):
        grid = ((rng.random((cells, cells, 3)) - 0.5) * 2 * spread + 128).astype(np.uint8)
        blotches = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
        rough += np.asarray(blotches, dtype=np.float32) - 128
    if rng.random() < 0.4:
        angle, period, phase = rng.random(3)
        x, y = _grid(size)
        wave = np.cos(angle * np.pi) * x + np.sin(angle * np.pi) * y
        stripes = np.sin(wave * np.float32(2 * np.pi / (size * (0.08 + 0.2 * period))) + phase * 6)
        tint = (rng.random(3) - 0.5) * 2 * (0.6 * spread)
        rough += stripes[:, :, None].astype(np.float32) * tint.astype(np.float32)
    return rough


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return x, y


@lru_cache(maxsize=1)
def _patch_rasters() -> tuple[tuple[Image.Image, ...], ...]:
    result = []
    inset = round(RASTER * MARGIN)
    box = (inset, inset, RASTER - inset, RASTER - inset)
    for kind in ("rectangle", "ellipse", "hexagon"):
        image = Image.new("L", (RASTER, RASTER))
        pen = ImageDraw.Draw(image)
        if kind == "rectangle":
            pen.rectangle(box, fill=255)
        elif kind == "ellipse":
            pen.ellipse(box, fill=255)
        else:
            pen.regular_polygon((RASTER / 2, RASTER / 2, RASTER / 2 - inset), 6, fill=255)
        levels = [image]
        while levels[-1].width > SMALLEST:
            levels.append(levels[-1].reduce(2))
        result.append(tuple(levels))
    return tuple(result)


def _raster(shape: Shape, names: Sequence[str]) -> tuple[Image.Image, ...]:
    if shape.role is Role.PATCH:
        variants = _patch_rasters()
    elif shape.role is Role.DISTRACTOR:
        variants = distractor_rasters()
    else:
        variants = label_rasters(silhouette_of(names[shape.label]))
    return variants[shape.variant % len(variants)]


def _coverage(
    levels: Sequence[Image.Image], shape: Shape, size: int
) -> tuple[NDArray[np.float32], tuple[slice, slice]] | None:
    """Turns a silhouette into place: coverage 0 to 1 of the pixels of a box, and the box."""
    whole = shape.side / (1 - 2 * MARGIN)
    level = levels[0]
    for smaller in levels[1:]:  # the smallest that is still at least as fine as the picture
        if smaller.width < whole:
            break
        level = smaller
    scale = whole / level.width
    wide, high = scale * np.sqrt(shape.stretch), scale / np.sqrt(shape.stretch)
    if shape.flip:
        wide = -wide
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    half = level.width / 2
    reach_x = half * (abs(wide * cos) + abs(high * sin))
    reach_y = half * (abs(wide * sin) + abs(high * cos))
    x0, x1 = max(0, int(shape.x - reach_x)), min(size, int(shape.x + reach_x) + 2)
    y0, y1 = max(0, int(shape.y - reach_y)), min(size, int(shape.y + reach_y) + 2)
    if x0 >= x1 or y0 >= y1:
        return None
    # output pixel -> raster: the inverse of "stretch, then turn"
    a, b, d, e = cos / wide, sin / wide, -sin / high, cos / high
    dx, dy = x0 - shape.x, y0 - shape.y
    matrix = (a, b, a * dx + b * dy + half, d, e, d * dx + e * dy + half)
    mask = level.transform(
        (x1 - x0, y1 - y0), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    if shape.role is Role.BLUR:
        mask = mask.filter(ImageFilter.GaussianBlur(shape.side * 0.28))
    return np.asarray(mask, dtype=np.float32) / np.float32(255), (slice(y0, y1), slice(x0, x1))


def _draw(
    canvas: Canvas,
    config: SceneConfig,
    levels: Sequence[Image.Image],
    shape: Shape,
    rng: np.random.Generator,
) -> None:
    placed = _coverage(levels, shape, config.size)
    colour, fill = rng.random(3), rng.random(5)  # drawn always, so that streams stay in step
    if placed is None:
        return
    mask, box = placed
    region = canvas[box]
    under = float((region @ LUMA).mean())
    contrast = 95 - 45 * config.difficulty + 40 * fill[0]
    brighter = under < 128 if abs(under - 128) > 20 else fill[1] < 0.5
    paint = _with_luma(colour, under + contrast if brighter else under - contrast)
    shade = (fill[2] - 0.5) * (10 + 40 * config.difficulty)
    ramp = np.linspace(-shade, shade, len(mask), dtype=np.float32)[:, None, None]
    texture: NDArray[np.float32] = np.broadcast_to(paint + ramp, region.shape)
    if shape.role is Role.PATCH:
        x, y = _grid(config.size)
        wave = np.cos(fill[3] * np.pi) * x[box] + np.sin(fill[3] * np.pi) * y[box]
        period = np.float32(2 * np.pi / (config.size * (0.04 + 0.06 * fill[4])))
        texture = texture + (np.sin(wave * period) * 28)[:, :, None].astype(np.float32)
    strength = 0.45 if shape.role is Role.BLUR else 1.0
    region += (mask * np.float32(strength))[:, :, None] * (texture - region)


def _with_luma(colour: NDArray[np.float64], luma: float) -> NDArray[np.float32]:
    """A colour of the given hue, brought to a brightness within 0 to 255."""
    luma = min(max(luma, 12.0), 243.0)
    paint = (colour * 255).astype(np.float32)
    paint += np.float32(luma) - paint @ LUMA
    for _ in range(2):  # clipping moves the brightness a little
        paint = paint.clip(0, 255)
        paint += np.float32(luma) - paint @ LUMA
    return paint.clip(0, 255)
