"""How sure a difference of mAP is, over test images and over seeds.

The only file that knows statistics; contributions of images, the variance and Holm's correction are
those of gatlabel's benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gatlabel.experiments.jackknife import contributions
from gatlabel.experiments.statistics import holm, variance_of

__all__ = ["Difference", "Estimate", "Measured", "holm", "measure", "pooled"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """The mAP of the runs of one method at one place, in percent.

    Attributes:
        points: ``(S,)``, by seed.
        images: ``(S, N)``: what each test image contributes to their uncertainty.
    """

    points: Array
    images: Array


@dataclass(frozen=True)
class Difference:
    """Two methods on the same images and seeds, in points.

    Attributes:
        points: ``(S,)``, by seed.
        images: ``(S, N)``, what each test image contributes to their uncertainty.
    """

    points: Array
    images: Array


@dataclass(frozen=True)
class Estimate:
    """A difference with its uncertainty, in points.

    Attributes:
        value: The estimate.
        error: Its standard error.
        freedom: Degrees of freedom of that.
    """

    value: float
    error: float
    freedom: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Returns the two ends of the interval."""
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return self.value - half, self.value + half

    def p_different(self) -> float:
        """Two-sided p of no difference."""
        if self.error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))

    def p_below(self, margin: float) -> float:
        """One-sided p of a true difference at or below ``margin``."""
        if self.error == 0:
            return float(self.value <= margin)
        return float(stats.t.sf((self.value - margin) / self.error, self.freedom))


def measure(scores: Sequence[NDArray[np.float32]], targets: NDArray[np.float32]) -> Measured:
    """Computes mAP by seed, and what each image contributes to its uncertainty.

    Args:
        scores: One ``(N, L)`` a seed, of the labels that are judged.
        targets: ``(N, L)`` of 1, 0 and -1 for unknown.
    """
    found = [contributions(s, targets) for s in scores]
    return Measured(
        100 * np.array([c.value for c in found]), 100 * np.stack([c.images for c in found])
    )


def subtract(ours: Measured, theirs: Measured) -> Difference:
    """Returns the difference by seed, and the contributions of images to it."""
    return Difference(ours.points - theirs.points, ours.images - theirs.images)


def pooled(sets: Sequence[Sequence[Difference]]) -> Estimate:
    """Averages the differences of each set, and then the sets, which weigh the same.

    Differences of one set share test images and seeds, so they are averaged image by image; sets
    are independent. The variance of a set is that of
    :func:`gatlabel.experiments.statistics.variance_of`; degrees of freedom are those of Welch and
    Satterthwaite.

    Args:
        sets: The differences of each set, with the same seeds within it.
    """
    values, parts = [], []
    for differences in sets:
        points = np.mean([d.points for d in differences], axis=0)
        images = np.mean([d.images for d in differences], axis=0)
        values.append(float(points.mean()))
        parts.append(variance_of(points, images))
    k = len(values)
    variance = sum(v for v, _ in parts)
    freedom = sum(v * v / f for v, f in parts)
    return Estimate(
        float(np.mean(values)),
        math.sqrt(variance) / k,
        variance**2 / freedom if freedom > 0 else math.inf,
    )
