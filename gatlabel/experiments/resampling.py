"""Mean average precision over bootstrap resamples of the pictures, exact and quick.

A resample with replacement is a whole-number weight for every picture. Scores are sorted once for
each label; the average precision of all resamples follows from cumulative sums of weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatlabel.labels import PRESENT, UNKNOWN

Array = NDArray[np.float64]
Weights = NDArray[np.int32]


def resample_weights(pictures: int, resamples: int, seed: int) -> Weights:
    """Draws resamples of the pictures with replacement.

    Args:
        pictures: N.
        resamples: R.
        seed: The same seed gives the same resamples, whichever scores they are used on.

    Returns:
        int32 ``(N, R)``: how often each picture is in each resample; columns sum to N.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((pictures, resamples), dtype=np.int32)
    for column in range(resamples):
        drawn = rng.integers(0, pictures, pictures)
        weights[:, column] = np.bincount(drawn, minlength=pictures)
    return weights


def weighted_ap(scores: NDArray[np.floating], targets: NDArray[np.floating], w: Weights) -> Array:
    r"""Average precision of one label when pictures count ``w`` times.

    :math:`\sum_s (R_s - R_{s-1}) P_s` over the distinct scores, recall and precision being ratios
    of sums of weights: the uninterpolated protocol of
    :func:`~gatlabel.metrics.average_precision` on the repeated pictures.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)`` of 1, 0, or -1 for unknown, which counts neither way.
        w: int32 ``(N, R)``, the weights of R resamples.

    Returns:
        float64 ``(R,)``; NaN where a resample has no positive.
    """
    known = np.flatnonzero(targets != UNKNOWN)
    order = known[np.argsort(-scores[known], kind="stable")]
    positive = np.flatnonzero(targets[order] == PRESENT)
    if len(positive) == 0:
        return np.full(w.shape[1], np.nan)
    # Precision matters only at thresholds that a positive has. A threshold's group ends with the
    # last picture of the same score; groups reach back to the threshold before.
    ascending = -scores[order]
    ends = np.searchsorted(ascending, ascending[positive], side="right")  # (P,)
    thresholds, first = np.unique(ends, return_index=True)  # (T,)
    starts = np.concatenate([[0], thresholds[:-1]])
    every = np.add.reduceat(w[order[: thresholds[-1]]], starts, axis=0)  # (T, R)
    hits = np.add.reduceat(w[order[positive]], first, axis=0)
    every, found = np.cumsum(every, axis=0), np.cumsum(hits, axis=0)
    precision = found / np.maximum(every, 1)
    with np.errstate(invalid="ignore"):
        result: Array = (hits * precision).sum(axis=0) / found[-1]
    return result


def resampled_map(
    scores: NDArray[np.floating], targets: NDArray[np.floating], w: Weights, block: int = 250
) -> Array:
    """Mean average precision of every resample, over the labels that have a positive in it.

    Args:
        scores: ``(N, L)``.
        targets: ``(N, L)`` of 1, 0, or -1 for unknown.
        w: int32 ``(N, R)``.
        block: Resamples at a time, which bounds memory.

    Returns:
        float64 ``(R,)``; NaN where no label has a positive.
    """
    parts = []
    for first in range(0, w.shape[1], block):
        some = np.ascontiguousarray(w[:, first : first + block])
        ap = np.stack([weighted_ap(s, t, some) for s, t in zip(scores.T, targets.T, strict=True)])
        counted = ~np.isnan(ap)
        with np.errstate(invalid="ignore"):
            parts.append(np.where(counted, ap, 0).sum(axis=0) / counted.sum(axis=0))
    return np.concatenate(parts)
