"""Thresholds that maximise F1, or reach a precision or recall, chosen on validation images.

With few positives, the empirically best threshold of a label is noisy. Therefore each target is
replaced by a mixture of the observed target and the probability of a calibrated model:
``s = w y + (1 - w) q`` with ``w = n / (n + PSEUDO)`` for a label with ``n`` positives, and ``q``
from :func:`~gatlabel.decisions.fit_calibration`. With many positives the criterion is the observed
F1, with few the expected F1 (Lipton et al. 2014, arXiv:1402.1892).
"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gatlabel.decisions.calibration import fit_calibration
from gatlabel.decisions.inputs import check_probabilities, check_share
from gatlabel.errors import InputError, unknown_choice
from gatlabel.metrics.inputs import Array

#: Number of positives at which observed and expected targets have equal weight.
PSEUDO = 50.0
AVERAGES = ("macro", "micro")
CONSTANT = 1e-6  # probabilities of a label that differ by less do not order images
_GRID = 1000  # candidates for a shared threshold for macro F1


class _Cuts(NamedTuple):
    """Cumulative counts at each candidate threshold of each label, in descending order.

    Attributes:
        threshold: ``(N, L)``: a value between the probability at the rank and the next one.
        valid: bool ``(N, L)``: false if the next probability is the same.
        hits: ``(N, L)``: expected positives at or above the threshold.
        chosen: ``(N, L)``: known entries at or above the threshold.
        positives: ``(L,)``: expected positives.
    """

    threshold: Tensor
    valid: Tensor
    hits: Tensor
    chosen: Tensor
    positives: Tensor

    def f1(self) -> Tensor:
        """Expected F1 ``(N, L)`` of each candidate."""
        return 2 * self.hits / (self.chosen + self.positives).clamp(min=1e-12)


def f1_thresholds(
    probabilities: Array,
    targets: Array,
    *,
    average: Literal["macro", "micro"] = "macro",
    shared: bool = False,
    pseudo: float = PSEUDO,
) -> Tensor:
    """Returns thresholds that maximise F1 on images that the model was not trained on.

    Args:
        probabilities: ``(N, L)`` in [0, 1].
        targets: ``(N, L)`` of 1, 0 and -1 (unknown, left out).
        average: ``macro``: the mean of the labels' F1. ``micro``: F1 of all entries, which is
            maximised by one threshold for all labels if probabilities are calibrated.
        shared: Use one threshold for all labels with ``macro``, too.
        pseudo: Number of positives at which observed and expected targets have equal weight; 0
            uses observed targets only.

    Returns:
        ``(L,)``, of the probabilities' type, 0 to 1; a label is present if its probability is at
        least the threshold. 0 if predicting the label for every image is best. 1 for a label with
        known absences, no known presence, and the same probability for all images, as one without
        presences in training has. For a label with known presences and no known absence, 0.5 or
        the lowest probability of its presences, if that is lower: nothing says where to stop.

    Raises:
        InputError: If shapes differ, there are no images, or a value is out of range.
    """
    if average not in AVERAGES:
        raise unknown_choice("average", average, AVERAGES)
    values, exact = check_probabilities(probabilities, targets)
    if average == "micro":
        one = _cuts(values.reshape(-1, 1), exact.reshape(-1, 1), 0.0)
        return _at_best(one, one.f1()).expand(values.shape[1]).clone()
    cuts = _cuts(values, exact, pseudo)
    if not shared:
        found = _at_best(cuts, cuts.f1())
        found = torch.where(_without_evidence(values, exact), torch.ones_like(found), found)
        return _limited_if_never_absent(found, values, exact)
    ranks = torch.linspace(0, 1, _GRID, dtype=torch.float64)
    parts = [part for part in (values.flatten(), values[exact == 1]) if len(part)]
    levels = torch.cat([torch.quantile(_sample(part), ranks) for part in parts])
    at = torch.searchsorted(
        values.sort(dim=0).values.T.contiguous(),
        levels.to(values).expand(values.shape[1], -1).contiguous(),
    )
    f1 = torch.cat([cuts.f1(), torch.zeros_like(cuts.f1()[:1])])  # last row: no predictions
    rows = (len(values) - at.T - 1) % (len(values) + 1)
    best = f1.gather(0, rows).mean(1).argmax()
    return levels[best].to(values).expand(values.shape[1]).clone()


def precision_thresholds(
    probabilities: Array, targets: Array, at_least: float, *, pseudo: float = PSEUDO
) -> Tensor:
    """Returns the lowest threshold of each label with a precision of at least ``at_least``.

    Args:
        probabilities: ``(N, L)`` in [0, 1].
        targets: ``(N, L)`` of 1, 0 and -1 (unknown, left out).
        at_least: The required precision, between 0 and 1.
        pseudo: See :func:`f1_thresholds`.

    Returns:
        ``(L,)``; 1 if no threshold reaches it, with a warning that counts those labels. For a label
        with no known absence as :func:`f1_thresholds`.

    Raises:
        InputError: As for :func:`f1_thresholds`.
    """
    least = check_share(at_least, "at_least")
    values, exact = check_probabilities(probabilities, targets)
    cuts = _cuts(values, exact, pseudo)
    precise = cuts.valid & (cuts.hits >= least * cuts.chosen) & (cuts.chosen > 0)
    missing = ~precise.any(0)
    if bool(missing.any()):
        warnings.warn(
            f"no threshold reaches a precision of {least:g} for {int(missing.sum())} labels: "
            "their threshold is 1",
            stacklevel=2,
        )
    last = len(precise) - 1 - precise.flip(0).int().argmax(0)
    found = cuts.threshold.gather(0, last[None])[0]
    found = torch.where(missing, torch.ones_like(found), found)
    return _limited_if_never_absent(found, values, exact)


def recall_thresholds(
    probabilities: Array, targets: Array, at_least: float, *, pseudo: float = PSEUDO
) -> Tensor:
    """Returns the highest threshold of each label with a recall of at least ``at_least``.

    Arguments and errors are those of :func:`precision_thresholds`. Every recall can be reached. For
    a guarantee on new images, see :func:`conformal_threshold`.

    Returns:
        ``(L,)``.
    """
    least = check_share(at_least, "at_least")
    cuts = _cuts(*check_probabilities(probabilities, targets), pseudo)
    # the last cumulative sum may round below the total
    enough = cuts.valid & (cuts.hits >= least * cuts.positives * (1 - 1e-12))
    return cuts.threshold.gather(0, enough.int().argmax(0)[None])[0]


def _cuts(values: Tensor, exact: Tensor, pseudo: float) -> _Cuts:
    if not pseudo >= 0:
        raise InputError(f"pseudo={pseudo!r}: expected a number of positives, 0 or more")
    known = exact >= 0
    expected = _expected(values, exact, pseudo)
    known = known | ~known.any(0)  # labels without known targets use expected targets
    order = values.argsort(dim=0, descending=True)
    sorted_values = values.gather(0, order)
    weight = known.gather(0, order).double()
    hits = (expected.gather(0, order) * weight).cumsum(0)
    following = torch.cat([sorted_values[1:], torch.zeros_like(sorted_values[:1])])
    valid = sorted_values > following
    valid[-1] = True
    return _Cuts(_between(sorted_values, following), valid, hits, weight.cumsum(0), hits[-1])


def _expected(values: Tensor, exact: Tensor, pseudo: float) -> Tensor:
    """Mixtures of observed targets and calibrated probabilities."""
    observed = (exact == 1).double()
    known = exact >= 0
    if pseudo == 0 or not bool(known.any()):
        return observed
    logits = torch.logit(values.double(), eps=1e-12)
    expected = torch.sigmoid(fit_calibration(logits, exact)(logits))
    positives = observed.sum(0)
    weight = positives / (positives + pseudo)
    mixed = weight * observed + (1 - weight) * expected
    return torch.where(known, mixed, expected)


def _without_evidence(values: Tensor, exact: Tensor) -> Tensor:
    """Whether labels have known absences only and probabilities that do not order images."""
    constant = values.amax(0) - values.amin(0) <= CONSTANT
    return constant & (exact == 0).any(0) & ~(exact == 1).any(0)


def never_absent(exact: Tensor) -> Tensor:
    """Whether labels have known presences and no known absence in targets ``(N, L)``."""
    return (exact == 1).any(0) & ~(exact == 0).any(0)


def _limited_if_never_absent(found: Tensor, values: Tensor, exact: Tensor) -> Tensor:
    """Replaces the thresholds of labels without known absences, for which any is as good."""
    lowest = values.masked_fill(exact != 1, 1.0).amin(0).clamp(max=0.5)
    return torch.where(never_absent(exact), lowest, found)


def _between(upper: Tensor, lower: Tensor) -> Tensor:
    """A value above the lower and at most the upper one, halfway between if representable."""
    middle = lower + (upper - lower) / 2
    return torch.where(middle > lower, middle, upper)


def _at_best(cuts: _Cuts, score: Tensor) -> Tensor:
    """The best threshold of each label; 0 if it includes all images."""
    best = score.masked_fill(~cuts.valid, -1.0).argmax(0)
    found = cuts.threshold.gather(0, best[None])[0]
    return torch.where(best == len(score) - 1, torch.zeros_like(found), found)


def _sample(values: Tensor) -> Tensor:
    """About a million values, evenly spaced, since torch.quantile is limited to 16 million."""
    return values[:: max(1, len(values) // 1_000_000)].double()
