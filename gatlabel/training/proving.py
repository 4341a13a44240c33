"""Comparison of trained weights with the closed-form initialisation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from gatlabel.baselines.regression import group_numbers
from gatlabel.metrics import harden, mean_average_precision

PARTS = 20  # of the images, which the jackknife leaves out in turn


def gain(
    trained: Tensor,
    start: Tensor,
    targets: Tensor,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> tuple[float, float]:
    """Returns the difference in mAP between two sets of scores, and its standard error.

    The standard error is that of the delete-a-group jackknife over images (Efron & Tibshirani, *An
    Introduction to the Bootstrap*, 1993, section 11.5).

    Args:
        trained: ``(N, L)``.
        start: ``(N, L)``.
        targets: ``(N, L)``, -1 for unknown; soft ones count as present from 0.5.
        seed: Seed of the random parts.
        groups: The group of each image, N values: a patient, a video. Images of one group are left
            out together.

    Returns:
        The difference, trained minus start, and the standard error, of mAP from 0 to 1. NaN if mAP
        is not defined; the error also if it is not defined without one of the parts.
    """
    targets = harden(targets)
    if not len(targets):
        return float("nan"), float("nan")
    unit = group_numbers(groups, len(targets))
    count = int(unit.max()) + 1
    parts = min(PARTS, count)
    part = torch.empty(count, dtype=torch.long)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    part[order] = torch.arange(count) % parts

    def difference(rows: Tensor) -> float:
        known = targets[rows]
        both = (mean_average_precision(x[rows], known).value for x in (trained, start))
        return next(both) - next(both)

    own = difference(torch.arange(len(targets)))
    without = [difference((part[unit] != k).nonzero()[:, 0]) for k in range(parts)]
    values = torch.tensor(without)
    if len(values) < 2:
        return own, float("nan")
    factor = (len(values) - 1) / len(values)
    return own, float((factor * (values - values.mean()).square().sum()).sqrt())


def is_proven(difference: float, error: float) -> bool:
    """Whether a gain is larger than its standard error.

    The simpler model is kept if the difference is within one standard error (the 1-SE rule of
    Breiman et al., *Classification and Regression Trees*, 1984, section 3.4.3). It is also kept if
    one of them is not known (NaN).
    """
    return difference > error


def is_not_worse(difference: float, error: float) -> bool:
    """Whether a difference is no loss by more than its standard error; not if one is NaN.

    :func:`is_proven` with the burden of proof reversed, for a case in which earlier measurements
    found large gains.
    """
    return difference > -error


#: Choices between trained weights and the closed-form initialisation, by the option ``run.keep``.
RULES = {"proven": is_proven, "unless-worse": is_not_worse}
