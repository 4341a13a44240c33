"""Whether training has gained on the classifiers in closed form that it started from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gatlabel.metrics import mean_average_precision

GROUPS = 20  # parts of the validation images that are left out in turn


def gain(trained: Tensor, start: Tensor, targets: Tensor, seed: int = 0) -> tuple[float, float]:
    """The difference in mAP of two sets of scores for the same images, and its standard error.

    The error is that of the jackknife over groups of images (Efron & Tibshirani, *An Introduction
    to the Bootstrap*, 1993, section 11.5): parts of the images are left out in turn.

    Args:
        trained: ``(N, L)``.
        start: ``(N, L)``.
        targets: ``(N, L)``, -1 for unknown.
        seed: Of the groups.

    Returns:
        Difference, trained less start, and standard error, of mAP from 0 to 1; NaN where there is
        no mAP.
    """
    count = len(targets)
    groups = min(GROUPS, count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))

    def difference(rows: Tensor) -> float:
        known = targets[rows]
        both = (mean_average_precision(x[rows], known).value for x in (trained, start))
        return next(both) - next(both)

    own = difference(torch.arange(count))
    kept = torch.ones(count, dtype=torch.bool)
    without = []
    for group in range(groups):
        kept[:] = True
        kept[order[group::groups]] = False
        without.append(difference(kept.nonzero()[:, 0]))
    values = torch.tensor([value for value in without if not math.isnan(value)])
    if len(values) < 2:
        return own, float("nan")
    factor = (len(values) - 1) / len(values)
    return own, float((factor * (values - values.mean()).square().sum()).sqrt())


def is_proven(difference: float, error: float) -> bool:
    """Whether a gain is above 0 by more than its standard error.

    The simpler model stays where the evidence is within one standard error (Breiman et al.,
    *Classification and Regression Trees*, 1984, section 3.4.3).
    """
    return difference > (0.0 if math.isnan(error) else error)
