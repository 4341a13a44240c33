"""Layout of a graph's labels: one box per connected component, boxes in rows."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import numpy as np

WIDTH = 940.0
_MARGINS = (46.0, 22.0)  # space inside a box for names next to and above the outer labels


def place_labels(
    nodes: Iterable[int], edges: Iterable[tuple[int, int]]
) -> tuple[dict[int, tuple[float, float]], float]:
    """Places labels so that connected ones are close and names have space.

    Args:
        nodes: Labels to place besides those that edges touch.
        edges: Pairs of labels; direction is ignored.

    Returns:
        The position ``(x, y)`` of each label, and the height of the drawing (its width is
            ``WIDTH``).
    """
    web: nx.Graph[int] = nx.Graph()
    web.add_nodes_from(sorted(nodes))
    web.add_edges_from(sorted(edges))
    parts = sorted(nx.connected_components(web), key=lambda part: (-len(part), min(part)))
    places: dict[int, tuple[float, float]] = {}
    left = top = row_height = 0.0
    for part in parts:
        n = len(part)
        width, height = 65.0 + 45.0 * n, min(12.0 + 24.0 * n, 760.0)
        if len(parts) == 1 and n > 1:
            width, height = max(width, 600.0), max(height, 240.0)
        if width > 0.8 * WIDTH:
            width = WIDTH
        if left + width > WIDTH:
            left, top, row_height = 0.0, top + row_height, 0.0
        inside = _spread_out(web.subgraph(sorted(part)), width, height)
        places |= {node: (left + x, top + y) for node, (x, y) in inside.items()}
        left, row_height = left + width, max(row_height, height)
    return places, max(top + row_height, 60.0)


def _spread_out(part: nx.Graph[int], width: float, height: float) -> dict[int, tuple[float, float]]:
    """Lays out one component in a box by springs, half by coordinate and half by rank."""
    nodes = sorted(part.nodes)
    if len(nodes) == 1:
        return {nodes[0]: (width / 2, height / 2)}
    if len(nodes) == 2:
        y = height / 2 + 4
        return {nodes[0]: (_MARGINS[0], y), nodes[1]: (width - _MARGINS[0], y)}
    springs = nx.spring_layout(part, seed=1, k=2.2 / len(nodes) ** 0.5, iterations=150)
    points = np.array([springs[node] for node in nodes])
    for axis, length in ((0, width), (1, height)):
        values = points[:, axis]
        straight = (values - values.min()) / (float(np.ptp(values)) or 1.0)
        ranks = np.argsort(np.argsort(values, kind="stable")) / (len(nodes) - 1)
        margin = _MARGINS[axis]
        points[:, axis] = margin + (straight + ranks) / 2 * (length - 2 * margin)
    return {node: (float(x), float(y)) for node, (x, y) in zip(nodes, points, strict=True)}
