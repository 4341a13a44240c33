"""Drawings of label graphs: boxes and arrows for small graphs, a matrix for large ones."""

from __future__ import annotations

import io
import os
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.files import atomic_path, check_drawing
from gatlabel.graph.edges import LabelEdges
from gatlabel.graph.matrix_drawing import draw_matrix
from gatlabel.graph.node_drawing import draw_node_link
from gatlabel.printing import clean


class MissingGlyphsWarning(UserWarning):
    """Label names contain characters that the font of the drawing lacks."""


NODE_LINK_LABELS = 150
"""Graphs with at most this many labels are drawn as nodes and arrows, larger ones as a matrix."""

_WIDEST = 30_000  # pixels; Matplotlib refuses 2^16, some viewers refuse less


def draw_graphs(graphs: Mapping[str, LabelEdges], path: str | os.PathLike[str]) -> None:
    """Draws graphs side by side, each under its title.

    Args:
        graphs: Graphs by title.
        path: A png, svg or pdf file.

    Raises:
        InputError: If the file suffix is not png, svg or pdf, or ``graphs`` is empty.
    """
    check_drawing(path)
    if not graphs:
        raise InputError("there is no graph to draw")
    with _one_warning_of_glyphs():
        drawn = _drawn(graphs, Path(path).suffix.lower()[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())


def _drawn(graphs: Mapping[str, LabelEdges], file_format: str) -> io.BytesIO:
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
            draw_node_link(axis, figure, graph)
        else:
            draw_matrix(axis, graph)
    dpi = min(110.0, _WIDEST / max(sum(widths), height))
    drawn = io.BytesIO()  # matplotlib does not close a file it fails to write
    figure.savefig(drawn, format=file_format, dpi=dpi)
    return drawn


@contextmanager
def _one_warning_of_glyphs() -> Iterator[None]:
    """Replaces Matplotlib's repeated warnings per missing character by one warning."""
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
            f"the font of the drawing lacks {len(lacking)} characters of the names ({shown}); they "
            "are drawn as boxes",
            MissingGlyphsWarning,
            stacklevel=4,
        )


def _size(graph: LabelEdges) -> tuple[float, float]:
    """Returns width and height of a drawing in inches."""
    L = len(graph.labels)
    return (16.0, 11.5) if L > NODE_LINK_LABELS else (5.0 + 1.15 * L**0.5, 4.0 + 0.9 * L**0.5)


def _wrapped(title: str, inches: float) -> str:
    return "\n".join(textwrap.wrap(clean(title), int(inches * 13)))
