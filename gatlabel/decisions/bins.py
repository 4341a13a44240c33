"""Reliability of probabilities: bins of equal size, and Brier skill."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.decisions.inputs import check_probabilities
from gatlabel.errors import InputError
from gatlabel.metrics.inputs import Array


@dataclass(frozen=True)
class Reliability:
    """Predicted and observed frequencies of one label, or of all entries.

    Attributes:
        predicted: Mean probability of each bin, ``(bins,)``, ascending.
        observed: Share of present targets in each bin, ``(bins,)``.
        count: Entries in each bin, ``(bins,)``.
        error: Expected calibration error: mean of ``|observed - predicted|`` over entries.
        brier_skill: ``1 - Brier / Brier of the label's frequency``; 0 is as good as predicting the
            frequency, 1 is perfect; NaN if all targets are equal.
    """

    predicted: Tensor
    observed: Tensor
    count: Tensor
    error: float
    brier_skill: float


def reliability(
    probabilities: Array, targets: Array, *, label: int | None = None, bins: int = 10
) -> Reliability:
    """Compares predicted with observed frequencies, in bins of equally many entries.

    Args:
        probabilities: ``(N, L)`` in [0, 1].
        targets: ``(N, L)`` of 1, 0 and -1 (unknown, left out).
        label: The column; ``None`` uses all entries.
        bins: Number of bins; fewer if there are fewer entries or distinct probabilities.

    Raises:
        InputError: If shapes differ, a value is out of range, or no target is known.
    """
    if bins < 1:
        raise InputError(f"bins={bins}: expected 1 or more")
    values, exact = check_probabilities(probabilities, targets)
    if label is not None:
        if not 0 <= label < values.shape[1]:
            raise InputError(f"label={label}: there are {values.shape[1]} labels, counted from 0")
        values, exact = values[:, [label]], exact[:, [label]]
    known = exact >= 0
    p, order = values[known].double().sort()
    y = (exact[known] == 1).double()[order]
    if len(p) == 0:
        raise InputError("no target is known: there is nothing to compare probabilities with")
    place = (torch.arange(len(p)) * bins) // len(p)
    # entries with equal probabilities go to the same bin, that of the first
    place = place[torch.searchsorted(p, p)]
    _, place = place.unique(return_inverse=True)
    count = torch.bincount(place).double()
    predicted = torch.bincount(place, p) / count
    observed = torch.bincount(place, y) / count
    error = float((count * (observed - predicted).abs()).sum() / len(p))
    guess = float((y - y.mean()).square().mean())
    skill = 1 - float((y - p).square().mean()) / guess if guess > 0 else float("nan")
    return Reliability(predicted, observed, count.long(), error, skill)
