"""Nearest neighbours by cosine, a block of labels at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.graph.selection import strongest
from gatlabel.labels import LabelSet

_BLOCK_VALUES = 1 << 22  # cosines held at a time


def nearest_neighbours(
    vectors: NDArray[np.floating], labels: LabelSet, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Finds for every label the k others of the largest positive cosine.

    Args:
        vectors: ``(L, F)``; a row of zeros has no neighbours.
        labels: The L labels; among equal cosines the name decides.
        k: Neighbours of every label, at least 1.

    Returns:
        Edges int64 ``(2, E)``, from the neighbour to the label, and cosines ``(E,)``.

    Raises:
        InputError: If ``k`` is less than 1.
    """
    if k < 1:
        raise InputError(f"k is {k}: it must be at least 1")
    L = len(labels)
    size = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = vectors / np.where(size > 0, size, 1.0)
    sources: list[NDArray[np.int64]] = []
    targets: list[NDArray[np.int64]] = []
    cosines: list[NDArray[np.float64]] = []
    step = max(1, _BLOCK_VALUES // max(L, 1))
    for start in range(0, L, step):
        # rounded: the last bits depend on the order of the labels, and ties should not
        cosine = np.round(unit[start : start + step] @ unit.T, 12)
        rows = np.arange(len(cosine))
        cosine[rows, rows + start] = -np.inf
        place = max(L - k, 0)
        least = np.partition(cosine, place, axis=1)[:, place] if k < L else np.full(len(rows), 0.0)
        row, column = np.nonzero((cosine >= least[:, None]) & (cosine > 0))
        sources.append(column)
        targets.append(row + start)
        cosines.append(cosine[row, column])
    if not sources:
        return np.zeros((2, 0), np.int64), np.zeros(0)
    source, target = np.concatenate(sources), np.concatenate(targets)
    weight = np.concatenate(cosines)
    kept = strongest(labels, source, target, weight, top_k=k)
    return np.stack([source[kept], target[kept]]), weight[kept]
