"""Mean average precision over bootstrap resamples of the pictures, exact and quick.

A resample with replacement is a whole-number weight for every picture. Scores are sorted once for
each label; the average precision of all resamples follows from cumulative sums of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.labels import ABSENT, PRESENT, UNKNOWN

Array = NDArray[np.float64]
Weights = NDArray[np.integer]

BLOCK = 250  # resamples at a time, which bounds memory
FEW = 64  # absences: nearly every resample has one of so many
ROWS = 256  # thresholds at a time, which stay in the processor's cache


def weight_blocks(
    pictures: int, resamples: int, seed: int, block: int = BLOCK
) -> Iterator[Weights]:
    """Draws resamples of the pictures with replacement, a block at a time.

    Args:
        pictures: N.
        resamples: R.
        seed: The same seed gives the same resamples, whichever scores they are used on and
            however many follow.
        block: Resamples in a block.

    Yields:
        Weights ``(N, up to block)``: how often each picture is in each resample; columns sum
        to N. uint16 where that holds N, else int32.
    """
    rng = np.random.default_rng(seed)
    kind = np.uint16 if pictures <= np.iinfo(np.uint16).max else np.int32
    for first in range(0, resamples, block):
        rows = np.empty((min(block, resamples - first), pictures), dtype=kind)
        for row in rows:
            row[:] = np.bincount(rng.integers(0, pictures, pictures), minlength=pictures)
        yield np.ascontiguousarray(rows.T)


def resample_weights(pictures: int, resamples: int, seed: int) -> Weights:
    """Draws all resamples at once: the blocks of :func:`weight_blocks` as one, ``(N, R)``."""
    (weights,) = weight_blocks(pictures, resamples, seed, block=resamples)
    return weights


class RankedLabel:
    """One label's pictures in the order of their scores, ready for any weights.

    Precision matters only at thresholds that a positive has, T of them. A threshold's group are
    the pictures that it adds to those of the threshold before; pictures of one score go together.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)`` of 1, 0, or -1 for unknown, which counts neither way.
    """

    def __init__(self, scores: NDArray[np.floating], targets: NDArray[np.floating]) -> None:
        known = np.flatnonzero(targets != UNKNOWN)
        self._absent = np.flatnonzero(targets == ABSENT)
        order = known[np.argsort(-scores[known], kind="stable")]
        positive = np.flatnonzero(targets[order] == PRESENT)
        ascending = -scores[order]
        ends = np.searchsorted(ascending, ascending[positive], side="right")  # (P,)
        thresholds, first = np.unique(ends, return_index=True)  # (T,)
        last = thresholds[-1] if len(thresholds) else 0
        self._pictures = order[:last].astype(np.int32)
        self._ends = np.concatenate([[0], thresholds]).astype(np.int32)
        self._positives = order[positive].astype(np.int32)
        self._positive_ends = np.append(first, len(positive)).astype(np.int32)

    def ap(self, w: Weights) -> Array:
        r"""Average precision when pictures count ``w`` times.

        :math:`\sum_s (R_s - R_{s-1}) P_s` over the distinct scores, recall and precision being
        ratios of sums of weights: the uninterpolated protocol of
        :func:`~gatlabel.metrics.average_precision` on the repeated pictures.

        Args:
            w: ``(N, R)``, the weights of R resamples, whose sums fit their type.

        Returns:
            float64 ``(R,)``; NaN where a resample has no positive.
        """
        if len(self._positives) == 0:
            return np.full(w.shape[1], np.nan)
        every = _group_sums(self._pictures, self._ends, w)  # (T, R)
        hits = _group_sums(self._positives, self._positive_ends, w)
        total = np.zeros(w.shape[1])
        seen, found = (np.zeros(w.shape[1], dtype=np.int32) for _ in range(2))
        for start in range(0, len(every), ROWS):
            rows = slice(start, start + ROWS)
            all_so_far, found_so_far = _running(every[rows], seen), _running(hits[rows], found)
            seen, found = all_so_far[-1], found_so_far[-1]
            gains = hits[rows] * (found_so_far / np.maximum(all_so_far, 1))
            gains[0] += total  # row after row, whatever ROWS is: the same to the last bit
            total = gains.sum(axis=0)
        with np.errstate(invalid="ignore"):
            result: Array = total / found
        return result

    def has_absence(self, w: Weights) -> NDArray[np.bool_]:
        """Whether a picture in which the label is known to be absent has a weight: ``(R,)``."""
        found: NDArray[np.bool_] = np.any(w[self._absent[:FEW]], axis=0)
        if not found.all():
            found |= np.any(w[self._absent[FEW:]], axis=0)
        return found


def _group_sums(pictures: NDArray[np.int32], ends: NDArray[np.int32], w: Weights) -> Weights:
    """Sums the weights of consecutive pictures: row t of ``pictures[ends[t] : ends[t + 1]]``."""
    shape = (len(ends) - 1, len(w))
    # a product of matrices of one small type reads each weight once and copies none
    groups: Any = sparse.csr_array((np.ones(len(pictures), w.dtype), pictures, ends), shape=shape)
    sums: Weights = groups @ w
    return sums


def _running(sums: Weights, before: NDArray[np.int32]) -> NDArray[np.int32]:
    """Cumulative sums over axis 0 that go on from those before."""
    result: NDArray[np.int32] = np.cumsum(sums, axis=0, dtype=np.int32)
    result += before
    return result


def weighted_ap(scores: NDArray[np.floating], targets: NDArray[np.floating], w: Weights) -> Array:
    """Average precision of one label when pictures count ``w`` times, see :class:`RankedLabel`.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)`` of 1, 0, or -1 for unknown, which counts neither way.
        w: ``(N, R)``, the weights of R resamples.

    Returns:
        float64 ``(R,)``; NaN where a resample has no positive.
    """
    return RankedLabel(scores, targets).ap(w)


def map_of_blocks(
    scores: NDArray[np.floating], targets: NDArray[np.floating], blocks: Iterable[Weights]
) -> Array:
    """Mean average precision of every resample, over labels with a positive and an absence in it.

    So :func:`~gatlabel.metrics.mean_average_precision` takes the mean.

    Args:
        scores: ``(N, L)``.
        targets: ``(N, L)`` of 1, 0, or -1 for unknown.
        blocks: Weights ``(N, any)``, together R columns.

    Returns:
        float64 ``(R,)``; NaN where no label has both.
    """
    labels = [RankedLabel(s, t) for s, t in zip(scores.T, targets.T, strict=True)]
    parts = []
    for weights in blocks:
        rows = np.ascontiguousarray(weights)  # else copied for every label
        ap = np.stack([label.ap(rows) for label in labels])
        counted = ~np.isnan(ap) & np.stack([label.has_absence(rows) for label in labels])
        with np.errstate(invalid="ignore"):
            parts.append(np.where(counted, ap, 0).sum(axis=0) / counted.sum(axis=0))
    return np.concatenate(parts)


def resampled_map(
    scores: NDArray[np.floating], targets: NDArray[np.floating], w: Weights, block: int = BLOCK
) -> Array:
    """Mean average precision of every resample when all weights ``(N, R)`` are there.

    As :func:`map_of_blocks`, ``block`` resamples at a time.
    """
    parts: list[Weights] = [w[:, k : k + block] for k in range(0, w.shape[1], block)]
    return map_of_blocks(scores, targets, parts)
