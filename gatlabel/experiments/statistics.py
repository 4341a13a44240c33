"""Is the difference between two contenders more than chance? Paired bootstrap, Holm's correction.

Every contender is run with the same seeds and scored on the same pictures, so differences are
taken within a seed and within a resample of the pictures (Efron and Tibshirani, *An Introduction
to the Bootstrap*, 1993, chapters 13 and 16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError

Array = NDArray[np.float64]

LEFT_OUT_AT_MOST = 0.05  # of the resamples; the others are then no picture of chance any more


@dataclass(frozen=True)
class Difference:
    """The difference of two contenders' mAP with its uncertainty.

    Attributes:
        value: The mean over seeds on the pictures as they are (-1 to 1).
        low: Lower end of the percentile interval; ``None`` without enough positives.
        high: Upper end of it, or ``None``.
        p: Two-sided p-value of "no difference", or ``None``.
        left_out: Resamples without any positive, which have no mAP and are left out.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    left_out: int = 0


def draw_seeds(seeds: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Draws the seeds of each resample with replacement: int64 ``(R, S)``, positions of seeds."""
    return np.random.default_rng([seed, 1]).integers(0, seeds, (resamples, seeds))


def seed_means(maps: Array, drawn: NDArray[np.int64]) -> Array:
    """Averages over the seeds that each resample drew.

    Args:
        maps: float64 ``(S, R)``: mAP of every seed's run in every resample of the pictures.
        drawn: int64 ``(R, S)``, from :func:`draw_seeds`.

    Returns:
        float64 ``(R,)``.
    """
    columns = np.arange(maps.shape[1])[:, None]
    result: Array = maps[drawn, columns].mean(axis=1)
    return result


def paired_difference(
    ours: Array,
    theirs: Array,
    our_resamples: Array,
    their_resamples: Array,
    *,
    level: float = 0.95,
) -> Difference:
    """Compares two contenders over pictures and seeds.

    The interval is the percentile interval of the resampled differences. The p-value counts
    resamples on the wrong side of zero: ``p = min(1, 2 (1 + min(#{d ≤ 0}, #{d ≥ 0})) / (R + 1))``.
    Resamples without any positive have no mAP and are left out of both, and of R; where they are
    more than 5 %, there is no interval and no p-value.

    Args:
        ours: ``(S,)``: mAP by seed on the pictures as they are.
        theirs: ``(S,)`` of the same seeds.
        our_resamples: ``(R,)`` from :func:`seed_means`.
        their_resamples: ``(R,)`` of the same resamples.
        level: Coverage of the interval, in (0, 1).

    Raises:
        InputError: If there are no resamples.
    """
    every = our_resamples - their_resamples
    if len(every) == 0:
        raise InputError("a bootstrap needs resamples: give 1 or more")
    value = float((ours - theirs).mean())
    differences = every[~np.isnan(every)]
    left_out = len(every) - len(differences)
    if left_out > LEFT_OUT_AT_MOST * len(every):
        return Difference(value, None, None, None, left_out)
    tail = 50 * (1 - level)
    low, high = np.percentile(differences, [tail, 100 - tail])
    wrong = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p = min(1.0, 2 * (1 + wrong) / (len(differences) + 1))
    return Difference(value, float(low), float(high), p, left_out)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for the number of comparisons made (Holm, Scand. J. Statist. 6, 1979).

    In ascending order ``p'_(k) = max over j ≤ k of min(1, (m − j + 1) p_(j))``: calling all with
    ``p' < 0.05`` real differences errs at all in at most 5 % of such reports.

    Args:
        p_values: The m p-values of one report.

    Returns:
        The corrected p-values, in the order given.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return corrected
