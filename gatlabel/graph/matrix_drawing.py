"""The weights of a large label graph as a matrix, ordered by community."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gatlabel.graph.edges import LabelEdges
from gatlabel.graph.layout import communities, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED_BLOCK = 40  # in a matrix as high as this many names, every name fits on a line


def draw_matrix(axis: Axes, graph: LabelEdges) -> None:
    """Draws weights as dots, targets down and sources across, both ordered by community."""
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
    axis.set_xlabel("source")
    axis.set_facecolor("#fafafa")
    ticks, names = _blocks(axis, graph, groups)
    axis.set_yticks(ticks, names, fontsize=7, parse_math=False)
    axis.set_xticks([])
    bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.5, pad=0.01)
    bar.set_label("weight")


def _blocks(
    axis: Axes, graph: LabelEdges, groups: list[np.ndarray[Any, np.dtype[np.int64]]]
) -> tuple[list[float], list[str]]:
    """Frames each community and labels it with its most connected labels, if space allows."""
    from matplotlib.patches import Rectangle

    L = len(graph.labels)
    space = L / _NAMED_BLOCK
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
        if size > 1 and (not ticks or middle - ticks[-1] >= space):
            hubs = ", ".join(short_name(graph.names[int(k)]) for k in members[:2])
            ticks.append(middle)
            names.append(f"{hubs} (+{size - 2})" if size > 2 else hubs)
        start += size
    alone = sum(len(members) == 1 for members in groups)
    if alone and (not ticks or L - alone / 2 - ticks[-1] >= space):
        ticks.append(L - (alone + 1) / 2)
        names.append(f"{alone} in no community")
    return ticks, names
