"""Drawing of a planned scene: textured background, silhouettes, patches, noise."""

from __future__ import annotations

import math
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

Field = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]

BLURRING = 0.32  # blur radius relative to the object's side: no shape remains visible
FAINT = [round(0.5 * value) for value in range(256)]  # coverage of a blur


def draw_scene(
    config: SceneConfig, names: Sequence[str], shapes: Sequence[Shape], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draws one scene.

    Args:
        config: The configuration of scenes.
        names: The L label names.
        shapes: From :func:`gatlabel.data.scenes.layout.plan_scene`.
        rng: The image's random stream.

    Returns:
        uint8 ``(size, size, 3)``, RGB.
    """
    canvas = background(config, rng)
    brightness = canvas.convert("L").resize((8, 8), Image.Resampling.BOX).tobytes()
    for shape in shapes:
        if shape.role is Role.BEHIND:  # its patch covers it completely
            continue
        column, row = (min(7, max(0, int(v / config.size * 8))) for v in (shape.x, shape.y))
        _draw(canvas, config, _raster(shape, names), shape, brightness[8 * row + column], rng)
    return _lit(np.asarray(canvas), config, rng)


def clear_shares(config: SceneConfig, names: Sequence[str], shapes: Sequence[Shape]) -> list[float]:
    """Returns for each shape the share of its area inside the image and under no later shape."""
    layers = []
    for shape in shapes:
        layer = np.zeros((config.size, config.size), dtype=np.float32)
        placed = _coverage(_raster(shape, names), shape, config.size)
        if placed is not None and shape.role is not Role.BEHIND:
            mask, (x0, y0, x1, y1) = placed
            layer[y0:y1, x0:x1] = np.asarray(mask, dtype=np.float32) / 255
        layers.append(layer)
    left = np.ones((config.size, config.size), dtype=np.float32)
    shares = []
    for shape, layer in zip(reversed(shapes), reversed(layers), strict=True):
        filled = np.asarray(_raster(shape, names)[0], dtype=np.float32).mean() / 255
        area = float(filled) * (shape.side / (1 - 2 * MARGIN)) ** 2
        shares.append(float((layer * left).sum()) / area)
        left = left * (1 - layer)
    return shares[::-1]


def background(config: SceneConfig, rng: np.random.Generator) -> Image.Image:
    """Draws a soft texture: a colour with blotches at two scales and sometimes stripes."""
    size = config.size
    spread = 16 + 30 * config.difficulty
    base = 128 + 75 * (rng.random() * 2 - 1) + 40 * (rng.random(3) * 2 - 1)
    rough = np.zeros((size, size, 3), dtype=np.float32) + base.astype(np.float32)
    for cells in (3, 7 + int(rng.random() * 8)):
        rough += _blotches(size, cells, spread, rng)
    if rng.random() < 0.4:
        angle, period, phase = rng.random(3)
        tint = (0.5 * spread) * (rng.random(3) * 2 - 1)
        wave = _stripes(size, angle * np.pi, size * (0.08 + 0.2 * period), phase * 6)
        rough += wave[:, :, None] * tint.astype(np.float32)
    return Image.fromarray(rough.clip(0, 255).astype(np.uint8))


def _blotches(size: int, cells: int, spread: float, rng: np.random.Generator) -> Field:
    """Returns smooth noise around 0, mostly in brightness, ``(size, size, 3)``."""
    grey, tint = rng.random((cells, cells, 1)), rng.random((cells, cells, 3))
    grid = (1.3 * grey + 0.7 * tint - 1) * spread + 128
    image = Image.fromarray(grid.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32) - np.float32(128)


def _stripes(size: int, angle: float, period: float, phase: float) -> Field:
    """Returns a wave from -1 to 1 across the image: ``(size, size)``."""
    x = np.arange(size, dtype=np.float32) * np.float32(2 * np.pi / period)
    across = x[None, :] * np.float32(np.cos(angle)) + x[:, None] * np.float32(np.sin(angle))
    result: Field = np.sin(across + np.float32(phase))
    return result


def _lit(pixels: NDArray[np.uint8], config: SceneConfig, rng: np.random.Generator) -> Pixels:
    """Adds uneven light and camera noise."""
    light = _blotches(config.size, 4, 10 + 25 * config.difficulty, rng)
    noise = rng.integers(-128, 128, pixels.shape, dtype=np.int8)
    # the integers have a standard deviation of 74
    lit = pixels + light + noise * np.float32((2 + 7 * config.difficulty) / 74)
    result: Pixels = lit.clip(0, 255).astype(np.uint8)
    return result


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
) -> tuple[Image.Image, tuple[int, int, int, int]] | None:
    """Places a silhouette: returns the coverage of the pixels of a box, and the box."""
    whole = shape.side / (1 - 2 * MARGIN)
    level = levels[0]
    for smaller in levels[1:]:  # the smallest that is at least as fine as the image
        if smaller.width < whole:
            break
        level = smaller
    scale = whole / level.width
    wide, high = scale * math.sqrt(shape.stretch), scale / math.sqrt(shape.stretch)
    if shape.flip:
        wide = -wide
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    half = level.width / 2
    reach_x = half * (abs(wide * cos) + abs(high * sin))
    reach_y = half * (abs(wide * sin) + abs(high * cos))
    x0, x1 = max(0, int(shape.x - reach_x)), min(size, int(shape.x + reach_x) + 2)
    y0, y1 = max(0, int(shape.y - reach_y)), min(size, int(shape.y + reach_y) + 2)
    if x0 >= x1 or y0 >= y1:
        return None
    # output pixel -> raster: the inverse of "stretch, then rotate"
    a, b, d, e = cos / wide, sin / wide, -sin / high, cos / high
    dx, dy = x0 - shape.x, y0 - shape.y
    matrix = (a, b, a * dx + b * dy + half, d, e, d * dx + e * dy + half)
    mask = level.transform(
        (x1 - x0, y1 - y0), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    if shape.role is Role.BLUR:
        mask = mask.filter(ImageFilter.GaussianBlur(shape.side * BLURRING)).point(FAINT)
    return mask, (x0, y0, x1, y1)


def _draw(
    canvas: Image.Image,
    config: SceneConfig,
    levels: Sequence[Image.Image],
    shape: Shape,
    under: int,
    rng: np.random.Generator,
) -> None:
    """Draws one shape in a colour that differs from the brightness under it."""
    red, green, blue, more, which, angle, period, phase = rng.random(8).tolist()
    placed = _coverage(levels, shape, config.size)
    if placed is None:
        return
    mask, box = placed
    contrast = 90 - 45 * config.difficulty + 50 * more
    brighter = under < 128 if abs(under - 128) > 25 else which < 0.5
    paint = _with_luma((red, green, blue), under + contrast if brighter else under - contrast)
    if shape.role is Role.PATCH:
        wave = _stripes(max(mask.size), angle * np.pi, config.size * (0.05 + 0.07 * period), phase)
        wave = wave[: mask.height, : mask.width, None]
        striped = np.array(paint, dtype=np.float32) + 28 * wave
        canvas.paste(Image.fromarray(striped.clip(0, 255).astype(np.uint8)), box, mask)
    else:
        canvas.paste((round(paint[0]), round(paint[1]), round(paint[2])), box, mask)


def _with_luma(colour: Colour, luma: float) -> Colour:
    """Returns a colour of about the given hue (channels 0 to 1) and brightness (0 to 255)."""
    luma = min(max(luma, 12.0), 243.0)
    red, green, blue = (channel * 255 for channel in colour)
    for _ in range(3):  # clipping changes the brightness slightly
        shift = luma - (0.299 * red + 0.587 * green + 0.114 * blue)
        red, green, blue = (min(max(c + shift, 0.0), 255.0) for c in (red, green, blue))
    return red, green, blue
