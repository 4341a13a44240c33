"""Chooses a decision on images that the model was not trained on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from gatlabel.decisions.aims import Aim
from gatlabel.decisions.calibration import Calibration, fit_calibration
from gatlabel.decisions.conformal import (
    InfeasibleWarning,
    conformal_threshold,
    precision_guarantee,
)
from gatlabel.decisions.decision import Decision
from gatlabel.decisions.options import DecisionOptions
from gatlabel.decisions.thresholds import (
    f1_thresholds,
    never_absent,
    precision_thresholds,
    recall_thresholds,
)
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.metrics.inputs import Array, check_scores, harden
from gatlabel.values import first_few

#: From probabilities ``(N, L)`` float64, targets ``(N, L)``, the aim, whether each label has its
#: own threshold, and the confidence, to thresholds ``(L,)``.
Chooser = Callable[[Tensor, Tensor, Aim, bool, float | None], Tensor]


def choose_decision(
    logits: Array,
    targets: Array,
    labels: LabelSet,
    options: DecisionOptions | None = None,
    *,
    split: str,
) -> Decision:
    """Chooses calibration and thresholds.

    A guarantee requires probabilities that do not depend on the images used to choose the
    threshold. With ``calibrate="vector"`` and the aim ``miss-rate`` or a confidence, a random half
    of the images is therefore used for calibration and the other half for the threshold. A
    temperature is the same for all entries and needs no such split.

    Args:
        logits: ``(N, L)``, of images that the model was not trained on.
        targets: ``(N, L)`` in [0, 1], or -1 for unknown; soft targets from 0.5 are present.
        labels: The L names.
        options: Aim and calibration; default: each label's F1, without calibration.
        split: Name of the set of images.

    Raises:
        InputError: If shapes differ, a logit is NaN, or there are no known positives or no known
            negatives.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> logits = torch.randn(400, 2, generator=generator) - 1
        >>> targets = torch.rand(400, 2, generator=generator) < logits.sigmoid()
        >>> decision = choose_decision(logits, targets, LabelSet(["cat", "dog"]), split="val")
        >>> decision.aim, decision.split, decision.images
        ('macro-f1', 'val', 400)
        >>> decision.present(logits).shape
        (400, 2)
    """
    options = options or DecisionOptions()
    aim = Aim.parse(options.aim)
    own = aim.check(options.per_label, options.confidence)
    values, exact = check_scores(logits, harden(targets), labels)
    values, exact = values.double().cpu(), exact.cpu()
    if lack := lacks_evidence(exact, split):
        raise InputError(lack)
    known = (exact >= 0).any(1)
    values, exact = values[known], exact[known]
    fitting = choosing = torch.arange(len(values))
    guaranteed = aim.name == "miss-rate" or options.confidence is not None
    if guaranteed and options.calibrate == "vector":
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(values)))
        fitting, choosing = order[: len(order) // 2], order[len(order) // 2 :]
        for half in (fitting, choosing):
            if lack := lacks_evidence(exact[half], f"half of {split}"):
                raise InputError(lack)
    scaling = _scaling(values[fitting], exact[fitting], labels, options.calibrate)
    blank = Decision.fixed(labels)
    if scaling:
        blank = Decision(labels, blank.thresholds, scaling, options.calibrate)
    probabilities = torch.from_numpy(blank.probabilities(values[choosing].numpy()))
    with _collected_warnings() as notes:
        found = CHOOSERS[aim.name](probabilities, exact[choosing], aim, own, options.confidence)
    if own and aim.name in ("macro-f1", "precision"):
        notes += _never_absent_note(exact[choosing], labels, split)
    fixed = aim.name == "fixed" and not scaling
    return Decision(
        labels=labels,
        thresholds=dict(zip(labels, found.tolist(), strict=True)),
        scaling=scaling,
        calibrate=options.calibrate,
        aim=str(aim),
        per_label=own,
        confidence=options.confidence,
        split="" if fixed else split,
        images=0 if fixed else len(values),
        notes=tuple(notes),
    )


def lacks_evidence(targets: Tensor, split: str) -> str:
    """Returns why targets ``(N, L)`` cannot be used to choose thresholds, or an empty string."""
    if len(targets) == 0:
        return f"{split} has no images to choose thresholds on"
    for value, what in ((1, "present"), (0, "absent")):
        if not bool((targets == value).any()):
            return f"no label is known to be {what} in the {len(targets)} images of {split}"
    return ""


def _never_absent_note(targets: Tensor, labels: LabelSet, split: str) -> list[str]:
    """Returns a note on labels whose threshold lacks known absences, if there are any."""
    found = [
        name for name, never in zip(labels, never_absent(targets).tolist(), strict=True) if never
    ]
    if not found:
        return []
    return [
        f"never known to be absent in {split}, so the threshold is 0.5 or less: {first_few(found)}"
    ]


def _scaling(
    logits: Tensor, targets: Tensor, labels: LabelSet, calibrate: str
) -> dict[str, tuple[float, float]]:
    if calibrate == "none":
        return {}
    fitted: Calibration = fit_calibration(logits, targets, calibrate)  # type: ignore[arg-type]
    pairs = zip(fitted.weight.tolist(), fitted.bias.tolist(), strict=True)
    return dict(zip(labels, pairs, strict=True))


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found += [str(warning.message) for warning in caught]


def _f1(p: Tensor, y: Tensor, aim: Aim, own: bool, confidence: float | None) -> Tensor:
    if aim.name == "micro-f1":
        return f1_thresholds(p, y, average="micro")
    return f1_thresholds(p, y, average="macro", shared=not own)


def _precision(p: Tensor, y: Tensor, aim: Aim, own: bool, confidence: float | None) -> Tensor:
    assert aim.value is not None
    if confidence is not None:
        one = precision_guarantee(p, y, 1 - aim.value, 1 - confidence)
        return torch.full((p.shape[1],), one, dtype=p.dtype)
    if own:
        return precision_thresholds(p, y, aim.value)
    pooled = precision_thresholds(p.reshape(-1, 1), y.reshape(-1, 1), aim.value, pseudo=0)
    return pooled.expand(p.shape[1])


def _recall(p: Tensor, y: Tensor, aim: Aim, own: bool, confidence: float | None) -> Tensor:
    assert aim.value is not None
    if own:
        return recall_thresholds(p, y, aim.value)
    pooled = recall_thresholds(p.reshape(-1, 1), y.reshape(-1, 1), aim.value, pseudo=0)
    return pooled.expand(p.shape[1])


def _miss_rate(p: Tensor, y: Tensor, aim: Aim, own: bool, confidence: float | None) -> Tensor:
    assert aim.value is not None
    delta = None if confidence is None else 1 - confidence
    if not own:
        one = conformal_threshold(p, y, aim.value, delta=delta)
        return torch.full((p.shape[1],), one, dtype=p.dtype)
    found, few = torch.zeros(p.shape[1], dtype=p.dtype), 0
    for label in range(p.shape[1]):
        # at most this share of the images that show the label misses it
        shown = y[:, label] == 1
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InfeasibleWarning)
            if bool(shown.any()):
                found[label] = conformal_threshold(
                    p[shown][:, [label]], y[shown][:, [label]], aim.value, delta=delta
                )
        few += bool(caught) or not bool(shown.any())
    if few:
        least = "" if delta is not None else f" ({math.ceil(1 / aim.value - 1)} are needed)"
        warnings.warn(
            f"{few} of {p.shape[1]} labels have too few positives for {aim}{least}: they are "
            "included in every set",
            InfeasibleWarning,
            stacklevel=2,
        )
    return found


def _fixed(p: Tensor, y: Tensor, aim: Aim, own: bool, confidence: float | None) -> Tensor:
    assert aim.value is not None
    return torch.full((p.shape[1],), aim.value, dtype=p.dtype)


CHOOSERS: dict[str, Chooser] = {
    "macro-f1": _f1,
    "micro-f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "miss-rate": _miss_rate,
    "fixed": _fixed,
}
