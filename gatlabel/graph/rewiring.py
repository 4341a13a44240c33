"""Random rewiring of a directed graph that keeps every degree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rewired(
    edge_index: NDArray[np.int64], labels: int, rng: np.random.Generator, swaps: int = 10
) -> NDArray[np.int64]:
    """Swaps the sources of random pairs of edges, ``a -> b, c -> d`` to ``c -> b, a -> d``.

    Edge k keeps its target, so that weights stay with the target; self-loops stay.

    Args:
        edge_index: int64 ``(2, E)``.
        labels: L.
        rng: Where the randomness is from.
        swaps: Attempted swaps per edge.

    Returns:
        int64 ``(2, E)``, the edges in the same order with new sources.
    """
    result = edge_index.copy()
    others = np.flatnonzero(edge_index[0] != edge_index[1])
    if len(others) < 2:
        return result
    sources, targets = result[0, others].tolist(), result[1, others].tolist()
    present = {source * labels + target for source, target in zip(sources, targets, strict=True)}
    attempts = rng.integers(0, len(others), (swaps * len(others), 2))
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
