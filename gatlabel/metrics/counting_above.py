"""How many scores reach each of a few thresholds, without sorting all scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 4096  # scores: for fewer, sorting all rows in one call costs less than these steps
_BINS_A_THRESHOLD = 8
_MOST_BINS = 1 << 16  # the tables stay in the cache of the core
_MOST_CROWDED = 0.5  # of the thresholds may share a bin: a sign of an uneven range
_MOST_UNRESOLVED = 0.25  # of all scores: a search costs more than a sort's share


def counts_at_least(
    scores: NDArray[np.floating[Any]], thresholds: NDArray[np.floating[Any]]
) -> NDArray[np.int64] | None:
    """Counts the scores that are at least each threshold, exactly.

    A monotone map puts scores into bins. Where a bin holds one threshold, a score in it needs one
    comparison; where it holds none, none; where it holds several, a binary search. So a few
    passes in order replace the sort of all scores.

    Args:
        scores: ``(N,)``, no NaN; infinite is allowed.
        thresholds: ``(T,)`` ascending, repeats allowed.

    Returns:
        int64 ``(T,)``; ``None`` where a sort is the better way: few scores, many thresholds, an
        infinite threshold, or so uneven a range that most scores share bins with several.
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
    # what a score in the bin reaches: the distinct thresholds of lower bins, and its bin's one
    below = np.cumsum(held) - held
    one = np.full(bins, np.nan, distinct.dtype)  # nothing is at least NaN
    one[own] = distinct
    unresolved = len(distinct) + 1  # a number that no score can reach
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
    """Returns bins per unit of score; 0 if the range has no usable one."""
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
    """Maps values to bins 0 to ``bins - 1``: each step is monotone in floating point too."""
    with np.errstate(over="ignore"):  # scores far outside the thresholds' range become infinite
        place = values - low
        place *= scale
    np.clip(place, 0, bins - 1, out=place)
    return place.astype(np.int64)
