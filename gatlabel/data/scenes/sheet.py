"""A contact sheet of scenes with their labels."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gatlabel.data.scenes.images import SceneImages
from gatlabel.errors import InputError
from gatlabel.files import atomic_path


def contact_sheet(
    source: SceneImages,
    path: str | os.PathLike[str],
    rows: int = 4,
    columns: int = 6,
    *,
    zoom: int = 2,
) -> None:
    """Writes the first images of a source as one PNG, labels below, hidden ones in red.

    Args:
        source: The images.
        path: The file to write.
        rows: Rows of images.
        columns: Columns of images.
        zoom: Screen pixels per image pixel.

    Raises:
        InputError: If rows, columns or zoom is below 1.
    """
    if min(rows, columns, zoom) < 1:
        raise InputError(f"a sheet of {rows} × {columns} at zoom {zoom}: give at least 1 of each")
    side, lines = source.config.size * zoom, 4
    cell = (side + 8, side + 12 * lines + 8)
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1]), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for k in range(min(rows * columns, len(source))):
        x, y = k % columns * cell[0] + 4, k // columns * cell[1] + 4
        pixels = source.load(k).permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS), (x, y))
        line, indent = 0, 0.0
        for label in np.flatnonzero(source.targets.rows(k)).tolist():
            text, seen = f"{source.labels[label]}  ", bool(source.visible[k, label])
            width = font.getlength(text)
            if indent + width > side and indent:
                line, indent = line + 1, 0.0
            if line < lines:
                at = (x + indent, y + side + 2 + 12 * line)
                pen.text(at, text, fill="black" if seen else "red", font=font)
            indent += width
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
