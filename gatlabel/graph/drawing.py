"""Drawing a label graph so that it can be read: boxes and arrows, or a matrix when it is large."""

from __future__ import annotations

import io
import os
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatlabel.errors import InputError
from gatlabel.files import atomic_path, check_drawing
from gatlabel.graph.label_graph import LabelGraph
from gatlabel.graph.layout import communities, placed
from gatlabel.printing import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class MissingGlyphsWarning(UserWarning):
    """Names have characters that the font of a drawing lacks."""


NODE_LINK_LABELS = 150
"""Up to this many labels a graph is drawn as nodes and arrows, beyond as a matrix."""

_WIDEST = 30_000  # pixels; Matplotlib refuses 2^16, and viewers less
_NAMED_BLOCK = 40  # a matrix as high as this many names leaves each room for one line


def draw_graph(graph: LabelGraph, path: str | os.PathLike[str], title: str | None = None) -> None:
    """Draws a graph to a file; see :meth:`LabelGraph.draw`.

    Raises:
        InputError: If the file is not to be a png, svg or pdf.
    """
    draw_graphs({title or repr(graph): graph}, path)


def draw_graphs(graphs: dict[str, LabelGraph], path: str | os.PathLike[str]) -> None:
    """Draws graphs side by side, each under its title.

    Args:
        graphs: Graphs by title.
        path: A png, svg or pdf file.

    Raises:
        InputError: If the file is not to be a png, svg or pdf, or there is no graph.
    """
    check_drawing(path)
    if not graphs:
        raise InputError("there is no graph to draw")
    with _one_warning_of_glyphs():
        drawn = _drawn(graphs, Path(path).suffix.lower()[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())


def _drawn(graphs: dict[str, LabelGraph], file_format: str) -> io.BytesIO:
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    sides = [_size(graph) for graph in graphs.values()]
    widths = [width for width, _ in sides]
    height = max(height for _, height in sides)
    figure = Figure(figsize=(sum(widths), height), layout="constrained")
    ratios = {"width_ratios": widths}
    axes = figure.subplots(1, len(graphs), squeeze=False, gridspec_kw=ratios)[0]
    for axis, width, (title, graph) in zip(axes, widths, graphs.items(), strict=True):
        axis.set_title(_wrapped(title, width), fontsize=10, parse_math=False)
        if len(graph.labels) <= NODE_LINK_LABELS:
            _draw_node_link(axis, figure, graph)
        else:
            _draw_matrix(axis, graph)
    dpi = min(110.0, _WIDEST / max(sum(widths), height))
    drawn = io.BytesIO()  # matplotlib leaves a file open that it cannot write to
    figure.savefig(drawn, format=file_format, dpi=dpi)
    return drawn


@contextmanager
def _one_warning_of_glyphs() -> Iterator[None]:
    """Says once which characters the font lacks, where Matplotlib says it of each, twice."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = set()
    for one in caught:
        if found := re.match(r"Glyph (\d+) ", str(one.message)):
            lacking.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if lacking:
        shown = "".join(sorted(lacking)[:20])
        warnings.warn(
            f"the font of the drawing lacks {len(lacking)} characters of the names ({shown}): they "
            "are drawn as boxes",
            MissingGlyphsWarning,
            stacklevel=4,
        )


def _size(graph: LabelGraph) -> tuple[float, float]:
    """Returns width and height of a drawing in inches."""
    L = len(graph.labels)
    return (16.0, 11.5) if L > NODE_LINK_LABELS else (5.0 + 1.15 * L**0.5, 4.0 + 0.9 * L**0.5)


def _wrapped(title: str, inches: float) -> str:
    return "\n".join(textwrap.wrap(clean(title), int(inches * 13)))


def _draw_node_link(axis: Axes, figure: Figure, graph: LabelGraph) -> None:
    """Names in boxes coloured by community; an arrow for every edge, stronger the heavier."""
    from matplotlib import colormaps
    from matplotlib.patches import FancyArrowPatch

    axis.set_axis_off()
    if not len(graph.labels):
        return
    groups = communities(graph)
    colours = colormaps["tab10"](np.arange(10))
    colour_of = np.zeros((len(graph.labels), 4))
    for number, members in enumerate(groups):
        alone = len(members) == 1
        colour_of[members] = (0.6, 0.6, 0.6, 1.0) if alone else colours[number % 10]
    position = placed(graph, groups)
    low, high = position.min(0), position.max(0)
    axis.set_xlim(low[0] - 5, high[0] + 5)
    axis.set_ylim(low[1] - 2, high[1] + 2)
    isolated = set(graph.isolated)
    boxes = [
        axis.text(
            x,
            y,
            _short(name),
            ha="center",
            va="center",
            fontsize=8,
            parse_math=False,
            zorder=3,
            bbox={
                "boxstyle": "round,pad=0.25",
                "facecolor": tuple(0.3 * colour[:3] + 0.7),
                "edgecolor": colour,
                "linestyle": "--" if name in isolated else "-",
                "linewidth": 0.8,
            },
        )
        for name, (x, y), colour in zip(graph.names, position, colour_of, strict=True)
    ]
    note = "An arrow lends evidence; dashed: no other label lends to it; colours: communities."
    axis.text(0, 0, note, transform=axis.transAxes, fontsize=7, color="#666")
    figure.draw_without_rendering()  # the boxes get the sizes at which the arrows end
    others = (graph.edge_index[0] != graph.edge_index[1]).numpy()
    weight = graph.edge_weight.abs().numpy()
    strength = (weight / (weight[others].max(initial=0.0) or 1.0)) ** 0.5
    for (source, target), size in zip(graph.edge_index.T.tolist(), strength, strict=True):
        if source != target:
            arrow = FancyArrowPatch(
                position[source],
                position[target],
                patchA=boxes[source].get_bbox_patch(),
                patchB=boxes[target].get_bbox_patch(),
                arrowstyle="-|>",
                mutation_scale=9,
                connectionstyle="arc3,rad=0.08",
                color=colour_of[source],
                alpha=0.15 + 0.6 * float(size),
                linewidth=0.4 + 1.2 * float(size),
                zorder=2,
            )
            axis.add_patch(arrow)


def _draw_matrix(axis: Axes, graph: LabelGraph) -> None:
    """Weights as dots, targets down and sources across, both ordered by community."""
    groups = communities(graph)
    degree = (graph.in_degree + graph.out_degree).numpy()
    groups = [members[np.argsort(-degree[members], kind="stable")] for members in groups]
    L = len(graph.labels)
    place = np.empty(L, int)
    place[np.concatenate(groups)] = np.arange(L)
    source, target = place[graph.edge_index.numpy()]
    drawn = axis.scatter(
        source,
        target,
        c=graph.edge_weight.numpy(),
        s=max(4.0, (700.0 / L) ** 2),
        marker="s",
        linewidths=0,
        cmap="viridis_r",
    )
    axis.set_xlim(-1, L)
    axis.set_ylim(L, -1)
    axis.set_aspect("equal")
    axis.set_xlabel("source (lends)")
    axis.set_facecolor("#fafafa")
    ticks, names = _blocks(axis, graph, groups)
    axis.set_yticks(ticks, names, fontsize=7, parse_math=False)
    axis.set_xticks([])
    bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.5, pad=0.01)
    bar.set_label("weight")


def _blocks(
    axis: Axes, graph: LabelGraph, groups: list[np.ndarray[Any, np.dtype[np.int64]]]
) -> tuple[list[float], list[str]]:
    """Frames each community and names it by its most connected labels, if there is room."""
    from matplotlib.patches import Rectangle

    L = len(graph.labels)
    room = L / _NAMED_BLOCK
    ticks: list[float] = []
    names: list[str] = []
    start = 0
    for members in groups:
        size = len(members)
        if size > 1:
            axis.add_patch(
                Rectangle((start - 0.5, start - 0.5), size, size, fill=False, ec="#c33", lw=0.8)
            )
        middle = start + (size - 1) / 2
        if size > 1 and (not ticks or middle - ticks[-1] >= room):
            hubs = ", ".join(_short(graph.names[int(k)]) for k in members[:2])
            ticks.append(middle)
            names.append(f"{hubs} (+{size - 2})" if size > 2 else hubs)
        start += size
    alone = sum(len(members) == 1 for members in groups)
    if alone and (not ticks or L - alone / 2 - ticks[-1] >= room):
        ticks.append(L - (alone + 1) / 2)
        names.append(f"{alone} in no community")
    return ticks, names


def _short(name: str, most: int = 24) -> str:
    name = clean(name)  # a line break would widen the box, half a character stop the drawing
    return name if len(name) <= most else name[: most - 1] + "…"
