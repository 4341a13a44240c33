"""Drawing the explanation of an image: heat maps over the image, bars of its neighbours."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.files import atomic_path, check_drawing
from gatlabel.printing import clean

_BARS = 8  # neighbours per label
_NAME = 28  # characters of a label's name


@dataclass(frozen=True)
class Panel:
    """One label of a drawing.

    Attributes:
        title: Name of the label.
        probability: 0 to 1.
        heat: ``(h, w)``, covering the whole image.
        bars: Neighbours with their contributions, the largest absolute one first.
    """

    title: str
    probability: float
    heat: NDArray[np.float32]
    bars: Sequence[tuple[str, float]]


def draw_panels(
    image: NDArray[np.uint8], title: str, panels: Sequence[Panel], path: str | os.PathLike[str]
) -> None:
    """Draws an image, and next to it one panel per label: a heat map, and bars below it.

    Args:
        image: uint8 ``(S, S, 3)``.
        title: The title above the image.
        panels: The labels; their heat maps share one scale.
        path: A png, svg or pdf file.

    Raises:
        InputError: If the file is not a png, svg or pdf, or cannot be written.
    """
    check_drawing(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    columns = 1 + len(panels)
    with_bars = any(panel.bars for panel in panels)
    rows = 2 if with_bars else 1
    # label names are arbitrary text: "$" must not start a formula
    with mpl.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(3.0 * columns, 3.3 + 2.2 * (rows - 1)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        axes[0, 0].imshow(image)
        axes[0, 0].set_title(_short(title), fontsize=9)
        largest = max((float(np.abs(panel.heat).max()) for panel in panels), default=0.0)
        for column, panel in enumerate(panels, 1):
            _draw_heat(axes[0, column], image.mean(2), panel, largest or 1.0)
            if with_bars:
                _draw_bars(axes[1, column], panel)
        for axis in [*axes[0], *axes[1:, 0]]:
            axis.set_axis_off()
        if with_bars:
            text = "contribution of neighbours\nto the logit (with the edge\nminus without it)"
            axes[1, 0].text(1, 0.5, text, ha="right", va="center", fontsize=8, color="0.3")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(path).suffix.lower()[1:], dpi=110)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _draw_heat(axis: Any, grey: NDArray[np.floating], panel: Panel, largest: float) -> None:
    height, width = grey.shape
    axis.imshow(grey, cmap="gray", vmin=0, vmax=255)
    axis.imshow(
        panel.heat,
        cmap="RdBu_r",  # red increases the logit; distinguishable for colour-blind readers
        vmin=-largest,
        vmax=largest,
        alpha=0.55,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
    )
    axis.set_title(f"{_short(panel.title)}\n{panel.probability:.2f}", fontsize=9)


def _draw_bars(axis: Any, panel: Panel) -> None:
    shown = panel.bars[:_BARS]
    if not shown:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no neighbours", ha="center", va="center", fontsize=8, color="0.3")
        return
    values = [value for _, value in shown]
    places = range(len(shown))
    axis.barh(places, values, color=["tab:red" if value >= 0 else "tab:blue" for value in values])
    axis.set_yticks(places, [_short(name) for name, _ in shown], fontsize=7)
    axis.invert_yaxis()
    axis.axvline(0, color="0.5", linewidth=0.8)
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    text = clean(name)
    return text if len(text) <= _NAME else f"…{text[1 - _NAME :]}"
