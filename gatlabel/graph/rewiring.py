"""Control graphs that keep the structure of a graph and destroy the meaning of its edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatlabel.graph.label_graph import LabelGraph

SWAPS = 10  # attempts per edge


def rewired(graph: LabelGraph, seed: int = 0) -> LabelGraph:
    """Swaps the sources of edges; see the variant ``random``.

    Edge k keeps its target, so weights stay with the target. Self-loops, label order, counts and
    node features do not change.

    Args:
        graph: The graph.
        seed: Seed of the swaps.
    """
    edges = _swapped(graph.edge_index.numpy(), len(graph.names), np.random.default_rng(seed))
    return _control(graph, edges, "random", seed)


def permuted(graph: LabelGraph, seed: int = 0) -> LabelGraph:
    """Moves the structure to other labels; see the variant ``permuted``.

    An edge ``j -> i`` becomes ``π(j) -> π(i)``. Label order, counts and node features do not
    change.

    Args:
        graph: The graph.
        seed: Seed of the permutation π, a random cycle without fixed points.

    Example:
        >>> graph = LabelGraph.from_edges([("fork", "knife", 0.5)], ["fork", "knife", "cow"])
        >>> edge = permuted(graph, seed=1).edge_index[:, 0].tolist()
        >>> [graph.names[k] for k in edge]
        ['knife', 'cow']
    """
    order = np.random.default_rng(seed).permutation(len(graph.names))
    image = np.empty_like(order)
    image[order] = np.roll(order, -1)
    return _control(graph, image[graph.edge_index.numpy()], "permuted", seed)


def _control(graph: LabelGraph, edges: NDArray[np.int64], variant: str, seed: int) -> LabelGraph:
    own = vars(graph.record()) | {
        "edge_index": edges,
        "variant": variant,
        "options": {"base": graph.variant, "seed": seed, **graph.options},
        "counts": graph.counts,
    }
    return LabelGraph(**own)


def _swapped(
    edge_index: NDArray[np.int64], labels: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Swaps the sources of random pairs of edges, ``a -> b, c -> d`` to ``c -> b, a -> d``.

    Args:
        edge_index: int64 ``(2, E)``.
        labels: L.
        rng: The random generator.

    Returns:
        int64 ``(2, E)``, the edges in the same order with new sources.
    """
    result = edge_index.copy()
    others = np.flatnonzero(edge_index[0] != edge_index[1])
    if len(others) < 2:
        return result
    sources, targets = result[0, others].tolist(), result[1, others].tolist()
    present = {source * labels + target for source, target in zip(sources, targets, strict=True)}
    attempts = rng.integers(0, len(others), (SWAPS * len(others), 2))
    for first, second in attempts.tolist():
        a, b, c, d = sources[first], targets[first], sources[second], targets[second]
        new_first, new_second = c * labels + b, a * labels + d
        if a == d or c == b or new_first in present or new_second in present:
            continue
        present -= {a * labels + b, c * labels + d}
        present |= {new_first, new_second}
        sources[first], sources[second] = c, a
    result[0, others] = sources
    return result
