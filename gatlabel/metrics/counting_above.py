"""Counts scores at or above a few thresholds without sorting all scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 4096  # for fewer scores, sorting all rows in one call is faster
_BINS_A_THRESHOLD = 8
_MOST_BINS = 1 << 16  # the tables fit the cache of a core
_MOST_CROWDED = 0.5  # largest share of thresholds in shared bins, which indicate an uneven range
_MOST_UNRESOLVED = 0.25  # largest share of scores that need a binary search, slower than a sort


def counts_at_least(
    scores: NDArray[np.floating[Any]], thresholds: NDArray[np.floating[Any]]
) -> NDArray[np.int64] | None:
    """Counts the scores that are at least each threshold, exactly.

    A monotone map assigns scores to bins. A score needs no comparison if its bin has no threshold,
    one comparison if it has one, and a binary search if it has several. A few sequential passes
    thus replace sorting all scores.

    Args:
        scores: ``(N,)``, without NaN; infinite values are allowed.
        thresholds: ``(T,)`` ascending; duplicates are allowed.

    Returns:
        int64 ``(T,)``; ``None`` if sorting is faster: for few scores, many thresholds, an infinite
        threshold, or a range so uneven that most scores fall into bins with several thresholds.
    """
    if len(scores) < _SMALLEST or len(thresholds) == 0:
        return None
    first = np.r_[True, thresholds[1:] != thresholds[:-1]]
    distinct = thresholds[first]
    bins = 1 << int(_BINS_A_THRESHOLD * len(distinct)).bit_length()
    if bins > _MOST_BINS:
        return None
    if not (scale := _scale(distinct, bins)):
        return None
    own = _bin(distinct, distinct[0], scale, bins)
    held = np.bincount(own, minlength=bins)
    several = held > 1
    if held[several].sum() > _MOST_CROWDED * len(distinct):
        return None
    # thresholds reached by a score in a bin: those of lower bins, and perhaps its bin's only one
    below = np.cumsum(held) - held
    one = np.full(bins, np.nan, distinct.dtype)  # no score is >= NaN
    one[own] = distinct
    unresolved = len(distinct) + 1  # an impossible count
    below[several] = unresolved
    one[several] = np.nan
    where = _bin(scores, distinct[0], scale, bins)
    reached = below.take(where)
    reached += scores >= one.take(where)
    count = np.bincount(reached, minlength=unresolved + 1)
    if count[unresolved]:
        if count[unresolved] > _MOST_UNRESOLVED * len(scores):
            return None
        rest = np.searchsorted(distinct, scores[reached == unresolved], side="right")
        count[:unresolved] += np.bincount(rest, minlength=unresolved)
    at_least = np.cumsum(count[unresolved - 1 : 0 : -1])[::-1]  # (number of distinct thresholds,)
    return at_least[np.cumsum(first) - 1]


def _scale(distinct: NDArray[np.floating[Any]], bins: int) -> float:
    """Returns the number of bins per unit of score, or 0 if the range is not usable."""
    low, high = float(distinct[0]), float(distinct[-1])
    if not (np.isfinite(low) and np.isfinite(high)):
        return 0.0
    if low == high:
        return 1.0
    limits = np.finfo(distinct.dtype)
    if high - low > float(limits.max):
        return 0.0
    scale = (bins - 1) / (high - low)
    return scale if float(limits.tiny) < scale < float(limits.max) else 0.0


def _bin(
    values: NDArray[np.floating[Any]], low: np.floating[Any], scale: float, bins: int
) -> NDArray[np.int64]:
    """Maps values to bins 0 to ``bins - 1``; each step is monotone in floating point, too."""
    with np.errstate(over="ignore"):  # scores far outside the range become infinite
        place = values - low
        place *= scale
    np.clip(place, 0, bins - 1, out=place)
    return place.astype(np.int64)
