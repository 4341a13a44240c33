"""A label graph drawn as names in boxes with one arrow per edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gatlabel.graph.edges import LabelEdges
from gatlabel.graph.layout import communities, placed, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_node_link(axis: Axes, figure: Figure, graph: LabelEdges) -> None:
    """Draws boxes coloured by community and one arrow per edge, with its weight as opacity."""
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
            short_name(name),
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
    note = "Arrows: evidence; dashed boxes: no arrow into the label; colours: communities."
    axis.text(0, 0, note, transform=axis.transAxes, fontsize=7, color="#666")
    figure.draw_without_rendering()  # sets the sizes of the boxes, at whose border arrows end
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
