"""Layout of a graph drawing: label positions by community, without overlapping names."""

from __future__ import annotations

import networkx
import numpy as np
from numpy.typing import NDArray

from gatlabel.graph.edges import LabelEdges
from gatlabel.printing import clean

_LINE = 1.0  # height of a line of text: the unit of the layout
_LETTER = 0.55  # width of a letter in that unit
_LETTERS = 24  # longest part of a name that is shown


def short_name(name: str) -> str:
    """Returns a name as shown in a drawing, truncated if it is long."""
    name = clean(name)  # a line break would widen the box; an unpaired surrogate would fail
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"


def communities(graph: LabelEdges) -> list[NDArray[np.int64]]:
    """Groups labels that are densely connected (Louvain on the summed weights of both directions).

    Returns:
        Positions of the labels of each community, the largest community first.
    """
    undirected = _undirected(graph)
    found = networkx.community.louvain_communities(undirected, weight="weight", seed=0)
    groups = [np.array(sorted(members), dtype=np.int64) for members in found]
    return sorted(groups, key=lambda members: (-len(members), int(members[0])))


def _undirected(graph: LabelEdges) -> networkx.Graph:
    undirected = networkx.Graph()
    undirected.add_nodes_from(range(len(graph.labels)))
    for (source, target), weight in zip(
        graph.edge_index.T.tolist(), graph.edge_weight.abs().tolist(), strict=True
    ):
        if source != target:
            before = undirected.get_edge_data(source, target, {"weight": 0.0})["weight"]
            undirected.add_edge(source, target, weight=before + weight)
    return undirected


def placed(graph: LabelEdges, groups: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Computes positions for boxes that contain the label names.

    Connected labels are placed by a force-directed layout whose communities start on a ring.
    Labels without edges are placed in rows below. Overlapping boxes are then pushed apart.

    Args:
        graph: The label graph.
        groups: Its communities.

    Returns:
        ``(L, 2)`` centres, in units of the line height.
    """
    L = len(graph.labels)
    undirected = _undirected(graph)
    alone = np.array([node for node, degree in undirected.degree() if degree == 0], dtype=np.int64)
    undirected.remove_nodes_from(alone.tolist())
    position = np.zeros((L, 2))
    if undirected:
        start = {}
        for number, members in enumerate(groups):
            angle = 2 * np.pi * number / len(groups)
            for k, label in enumerate(members.tolist()):
                turn = 2 * np.pi * k / len(members)
                start[label] = (
                    np.cos(angle) + 0.2 * np.cos(turn),
                    np.sin(angle) + 0.2 * np.sin(turn),
                )
        begin = {node: start[node] for node in undirected}
        forces = networkx.spring_layout(
            undirected, pos=begin, k=2.2 / len(undirected) ** 0.5, iterations=150, seed=0
        )
        for node, place in forces.items():
            position[node] = place
        radius = np.linalg.norm(position, axis=1, keepdims=True)
        # the root pulls in outliers, which would compress the rest
        position *= (radius / max(radius.max(), 1e-9) + 1e-9) ** -0.35
        position *= np.array([4.6, 3.4]) * L**0.5 / max(np.abs(position).max(), 1e-9)
    widths = np.array([_LETTER * min(len(name), _LETTERS) + 1.6 for name in graph.names])
    connected = np.setdiff1d(np.arange(L), alone)
    position[connected] = _pushed_apart(position[connected], widths[connected])
    _in_rows(position, alone, widths, position[connected])
    return position


def _pushed_apart(centre: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moves boxes until none overlap, each pair along the shorter direction."""
    centre = centre.copy()
    room_x = (width[:, None] + width[None, :]) / 2
    room_y = np.full_like(room_x, 2.0 * _LINE)
    for _ in range(300):
        apart = centre[:, None, :] - centre[None, :, :]  # (L, L, 2)
        over_x = room_x - np.abs(apart[..., 0])
        over_y = room_y - np.abs(apart[..., 1])
        overlap = (over_x > 0) & (over_y > 0)
        np.fill_diagonal(overlap, False)
        if not overlap.any():
            break
        # boxes at the same position need a direction: the first moves down and left
        sign = np.where(apart == 0, np.triu(np.ones_like(room_x))[..., None] * 2 - 1, apart)
        sideways = overlap & (over_x < over_y)
        upwards = overlap & ~sideways
        move_x = np.where(sideways, np.sign(sign[..., 0]) * over_x, 0.0).sum(1)
        move_y = np.where(upwards, np.sign(sign[..., 1]) * over_y, 0.0).sum(1)
        centre += 0.3 * np.stack([move_x, move_y], 1)
    return centre


def _in_rows(
    position: NDArray[np.float64],
    alone: NDArray[np.int64],
    width: NDArray[np.float64],
    others: NDArray[np.float64],
) -> None:
    """Places labels without edges in rows below the others, in place."""
    left, right = (others[:, 0].min(), others[:, 0].max()) if len(others) else (-20.0, 20.0)
    right = max(right, left + 40.0)
    x, y = left, (others[:, 1].min() if len(others) else 0.0) - 4.0 * _LINE
    for label in alone:
        if x > left and x + width[label] > right:
            x, y = left, y - 2.2 * _LINE
        position[label] = (x + width[label] / 2, y)
        x += width[label] + 0.5
