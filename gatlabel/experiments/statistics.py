"""Uncertainty of the difference between two models: intervals, tests, Holm's correction.

The estimand is the mean, over a fixed set of labels, of the expected average precision on another
test set of the same population, with as many images and as many positives of each label. The labels
are those with a positive and a negative in the given test set. Average precision depends on the
number of positives, and its mean over few of them is not its limit for many, so without these
numbers there is no definite estimand. Given them, the mAP of the test set is unbiased.

With several seeds the expectation is over seeds too; with one it is of these trained models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from gatlabel.experiments.jackknife import Contributions, contributions
from gatlabel.labels import ABSENT, PRESENT

Array = NDArray[np.float64]

STATISTICS = (
    "mAP over the labels with a positive and a negative in the reported images; jackknife over "
    "images within labels, spread over seeds, t intervals, two-sided p, Holm's correction over all "
    "comparisons of this report"
)
NOTHING = 1e-12  # smaller differences and standard errors are rounding errors
#: Minimum numbers of positives for an interval, in total and per label, chosen by simulation.
LEAST_POSITIVES, LEAST_OF_A_LABEL = 20, 2


@dataclass(frozen=True)
class Difference:
    """The difference of two models' mAP with its uncertainty.

    Attributes:
        value: The mean over seeds on the given images (-1 to 1); NaN without any label.
        low: Lower end of the interval, or ``None``.
        high: Upper end of the interval, or ``None``.
        p: Two-sided p-value of "no difference", below 0.05 if the 95 % interval excludes 0; or
            ``None``.
        df: Degrees of freedom of the t quantile, or ``None``.
        why: Reason why there is no interval; otherwise empty.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    df: float | None = None
    why: str = ""

    @property
    def ends(self) -> list[float] | None:
        """Both ends of the interval in points, rounded to hundredths; ``None`` without."""
        if self.low is None or self.high is None:
            return None
        return [round(100 * end, 2) for end in (self.low, self.high)]


def too_few(targets: NDArray[np.floating]) -> str:
    """Returns the reason why a test set cannot give an interval, or an empty text.

    The rule depends on targets alone, so it is the same for all models compared on them.

    Args:
        targets: ``(N, L)`` of 1, 0, or -1 for unknown.
    """
    positives = (targets == PRESENT).sum(axis=0)
    counted = (positives > 0) & (targets == ABSENT).any(axis=0)
    enough = counted & (positives >= LEAST_OF_A_LABEL)
    total = int(positives[enough].sum())
    if total >= LEAST_POSITIVES:
        return ""
    labels = int(enough.sum())
    who = f"the {labels} labels" if labels > 1 else "the only label" if labels else "no label"
    have = f"have {total} together" if labels > 1 else f"has {total}"
    verb = "with" if labels else "has"
    few = f"{who} {verb} {LEAST_OF_A_LABEL} or more positives in the reported images"
    return f"no interval: {few}" + (f" {have}, fewer than {LEAST_POSITIVES}" if labels else "")


def paired_difference(
    ours: Sequence[Contributions],
    theirs: Sequence[Contributions],
    *,
    level: float = 0.95,
    why: str = "",
) -> Difference:
    r"""Compares two models over images and seeds.

    With contributions :math:`c_{is}` of image i to the difference :math:`d_s` of seed s, and means
    over the S seeds without an index:

    .. math::
        V &= \sum_i c_i^2 + \max\Bigl(0, \frac{\operatorname{var}_s d_s}{S}
             - \frac{\sum_{is} (c_{is} - c_i)^2}{S (S - 1)}\Bigr) \\
        f &= \frac{2 V^2}{\sum_i c_i^4 + 2 (\operatorname{var}_s d_s / S)^2 / (S - 1)}

    The interval is :math:`d \pm t_f \sqrt V`, the p-value that of Student's t. The variance over
    seeds contains that of the images, which is subtracted. f is Satterthwaite's, which is small if
    few images or few seeds account for the variance.

    Args:
        ours: Contributions by seed.
        theirs: Contributions of the other model by the same seeds.
        level: Coverage of the interval, in (0, 1).
        why: If given, there is no interval and no test, for this reason.
    """
    values = np.array([a.value - b.value for a, b in zip(ours, theirs, strict=True)])
    value = float(values.mean())
    if why or math.isnan(value):
        return Difference(value, None, None, None, why=why or too_few(np.zeros((1, 1))))
    images = np.stack([a.images - b.images for a, b in zip(ours, theirs, strict=True)])
    variance, df = variance_of(values, images)
    error = math.sqrt(variance)
    if error < NOTHING:
        if abs(value) < NOTHING:
            return Difference(value, value, value, 1.0)
        return Difference(value, None, None, None, why="no interval: no image varies")
    half = float(stdtrit(df, 0.5 + level / 2)) * error
    p = 2 * float(stdtr(df, -abs(value) / error))
    return Difference(value, value - half, value + half, p, df)


def variance_of(values: Array, images: Array) -> tuple[float, float]:
    """Returns the variance of a mean over seeds, and its degrees of freedom.

    Args:
        values: ``(S,)``, by seed.
        images: ``(S, N)``, the contributions of images to the values.
    """
    seeds, mean = len(values), images.mean(axis=0)
    of_images = float((mean**2).sum())
    spread = float((mean**4).sum())  # the variance of the variance
    variance = of_images
    if seeds > 1:
        of_seeds = float(values.var(ddof=1)) / seeds
        shared = float(((images - mean) ** 2).sum()) / (seeds * (seeds - 1))
        variance += max(0.0, of_seeds - shared)
        spread += 2 * of_seeds**2 / (seeds - 1)
    return variance, 2 * variance**2 / spread if spread > 0 else math.inf


def compare_scores(
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    targets: NDArray[np.floating],
    *,
    level: float = 0.95,
) -> Difference:
    """Compares the mAP of two models that scored the same images.

    Args:
        ours: ``(N, L)``, or ``(S, N, L)`` with several seeds.
        theirs: The scores of the other model, likewise.
        targets: ``(N, L)`` of 1, 0, or -1 for unknown.
        level: Coverage of the interval, in (0, 1).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> targets = (rng.random((200, 5)) < 0.2).astype(float)
        >>> noisy, noisier = (targets + rng.normal(0, s, targets.shape) for s in (0.5, 1))
        >>> found = compare_scores(noisy, noisier, targets)
        >>> found.low > 0, found.p < 0.001
        (True, True)
    """
    one, other = (
        [contributions(s, targets) for s in (scores if scores.ndim == 3 else scores[None])]
        for scores in (ours, theirs)
    )
    return paired_difference(one, other, level=level, why=too_few(targets))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for the number of comparisons made (Holm, Scand. J. Statist. 6, 1979).

    In ascending order, ``p'_(k) = max over j ≤ k of min(1, (m − j + 1) p_(j))``. The probability of
    any false claim in a report is at most 5 % if only differences with ``p' < 0.05`` are claimed.

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
