"""The contribution of each image to the uncertainty of mean average precision, in closed form.

The average precision of a label has two samples: images with the label (positives) and without it
(negatives). A jackknife reduces the weight of one image after another. All N results follow from
cumulative sums over the thresholds, without resampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.labels import ABSENT, PRESENT

Array = NDArray[np.float64]

STEP = 0.5  # weight removed from an image, chosen by simulation


@dataclass(frozen=True)
class Thresholds:
    """One label's images, grouped by the thresholds at its positives, from the highest score.

    Attributes:
        hits: float64 ``(T,)``: positives at each threshold.
        found: float64 ``(T,)``: positives at or above it.
        seen: float64 ``(T,)``: images at or above it.
        of_positive: int64 ``(P,)``: the threshold of each positive.
        of_negative: int64 ``(Q,)``: the first threshold that includes each negative; T for none.
    """

    hits: Array
    found: Array
    seen: Array
    of_positive: NDArray[np.int64]
    of_negative: NDArray[np.int64]

    @classmethod
    def of(cls, positive: NDArray[np.floating], negative: NDArray[np.floating]) -> Thresholds:
        """Groups the scores of positives ``(P,)`` and negatives ``(Q,)``; ties are grouped."""
        values, of_positive = np.unique(-positive, return_inverse=True)  # ascending: high scores
        of_negative = np.searchsorted(values, -negative, side="left")
        hits = np.bincount(of_positive, minlength=len(values)).astype(np.float64)
        new = np.bincount(of_negative, minlength=len(values) + 1)[:-1]
        found = np.cumsum(hits)
        return cls(hits, found, found + np.cumsum(new), of_positive, of_negative)

    @property
    def ap(self) -> float:
        """Average precision, uninterpolated: ties share a threshold."""
        return float((self.hits * self.found / self.seen).sum() / self.found[-1])

    def with_less_of_positives(self, less: float) -> Array:
        """Returns the AP after reducing the weight of each positive in turn: ``(P,)``.

        Args:
            less: Weight removed, in (0, 1]; 1 requires two positives.
        """
        fewer = self.seen - less
        at = (self.hits - less) * (self.found - less) / np.maximum(fewer, less)
        below = _sum_after(self.hits * (self.found - less) / np.maximum(fewer, less))
        at_threshold: Array = (self._above() + at + below) / (self.found[-1] - less)
        return at_threshold[self.of_positive]

    def with_less_of_negatives(self, less: float) -> Array:
        """Returns the AP after reducing the weight of each negative in turn: ``(Q,)``."""
        terms = self.hits * self.found / np.maximum(self.seen - less, less)
        at_threshold = self._above() + terms + _sum_after(terms)
        every = np.append(at_threshold / self.found[-1], self.ap)
        return every[self.of_negative]

    def _above(self) -> Array:
        terms = self.hits * self.found / self.seen
        return np.cumsum(terms) - terms


def _sum_after(terms: Array) -> Array:
    """Returns the sums of the terms after each position."""
    return np.cumsum(terms[::-1])[::-1] - terms


@dataclass(frozen=True)
class Contributions:
    """Mean average precision of a run, and the terms of its variance.

    Attributes:
        value: The mean over labels with a positive and a negative; NaN if there is none.
        images: float64 ``(N,)``: the contribution of every image. The sum of squares is the
            variance of ``value``. Contributions to a difference are differences of these.
    """

    value: float
    images: Array


def contributions(
    scores: NDArray[np.floating], targets: NDArray[np.floating], step: float = STEP
) -> Contributions:
    r"""Computes mean average precision and the contribution of every image to its variance.

    Within a label with P positives, the contribution of positive i is

    .. math:: c_i = \frac{P - \delta}{\sqrt{P (P - 1)}} \,
              \frac{\overline{AP_\delta} - AP_{i, \delta}}{\delta}

    with :math:`AP_{i, \delta}` the AP if the image has weight :math:`1 - \delta`, and its mean over
    the positives; likewise for negatives. The number of positives is fixed, hence the two means.
    The first factor makes the sum of squares exact for averages, for every :math:`\delta`. With 1
    this is the delete-one jackknife, which overestimates the variance if positives are few; towards
    0 it is the influence function, which underestimates it; ½ is in between
    (docs/studies/statistics). An image's contributions are summed over labels, which accounts for
    labels sharing images.

    A label with one positive has no variance within its stratum. Such strata of one are collapsed
    (Wolter, *Introduction to Variance Estimation*, 2007, section 2.5): the deviation of the label's
    AP from the mean of all such labels, times :math:`\sqrt{H / (H - 1)}` for H labels, replaces it.
    This overestimates the variance. If there is one such label, the mean is that of all labels.

    Args:
        scores: ``(N, L)``.
        targets: ``(N, L)`` of 1, 0, or -1 for unknown, which is ignored.
        step: The weight :math:`\delta` removed from an image, in (0, 1].
    """
    total = np.zeros(len(scores))
    ap: list[float] = []
    only: list[tuple[int, int]] = []  # labels with one positive: position in ``ap``, image
    for s, t in zip(scores.T, targets.T, strict=True):
        positive, negative = np.flatnonzero(t == PRESENT), np.flatnonzero(t == ABSENT)
        if not len(positive) or not len(negative):
            continue
        label = Thresholds.of(s[positive], s[negative])
        if len(positive) > 1:
            total[positive] += _of_stratum(label.with_less_of_positives(step), step)
        else:
            only.append((len(ap), int(positive[0])))
        if len(negative) > 1:
            total[negative] += _of_stratum(label.with_less_of_negatives(step), step)
        ap.append(label.ap)
    if not ap:
        return Contributions(float("nan"), total)
    if only:
        places, images = (np.array(part) for part in zip(*only, strict=True))
        np.add.at(total, images, _collapsed(np.array(ap), places))
    return Contributions(float(np.mean(ap)), total / len(ap))


def _of_stratum(moved: Array, step: float) -> Array:
    """Returns the contributions of a stratum, from the statistic with reduced weights."""
    count = len(moved)
    scale = (count - step) / (step * math.sqrt(count * (count - 1)))
    result: Array = scale * (moved.mean() - moved)
    return result


def _collapsed(ap: Array, only: NDArray[np.int64]) -> Array:
    """Returns the contributions of labels' only positives."""
    count = len(only)
    if count == 1:
        return ap[only] - ap.mean()
    result: Array = math.sqrt(count / (count - 1)) * (ap[only] - ap[only].mean())
    return result
