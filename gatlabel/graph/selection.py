"""Selection of edges among candidates: by threshold, and the strongest per target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet


def strongest(
    labels: LabelSet,
    source: NDArray[np.integer],
    target: NDArray[np.integer],
    weight: NDArray[np.floating],
    *,
    threshold: float | None = None,
    top_k: int | None = None,
    support: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Selects edges by weight.

    Args:
        labels: The L labels.
        source: ``(E,)`` source of each candidate.
        target: ``(E,)`` target of each candidate.
        weight: ``(E,)`` weights.
        threshold: Edges with smaller weights are dropped.
        top_k: Every target keeps at most this many in-edges, the heaviest. Ties are broken by
            ``support``, then by the name of the source, so that the selection does not depend on
            the order of the labels.
        support: ``(E,)`` number of images behind each weight.

    Returns:
        Positions of the edges kept, ascending.

    Raises:
        InputError: If ``top_k`` is less than 1 or ``threshold`` is NaN.
    """
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k is {top_k}: it must be at least 1")
    if threshold is not None and np.isnan(threshold):
        raise InputError("threshold is not a number")
    kept = np.arange(len(weight)) if threshold is None else np.flatnonzero(weight >= threshold)
    if top_k is None or not len(kept):
        return kept
    by_name = np.argsort(np.argsort(np.array(labels.names)))  # rank of each name
    count = np.zeros(len(weight)) if support is None else support
    order = kept[np.lexsort((by_name[source[kept]], -count[kept], -weight[kept], target[kept]))]
    ordered = target[order]
    first = np.searchsorted(ordered, ordered)  # position of the first in-edge of the same target
    return np.sort(order[np.arange(len(order)) - first < top_k])
