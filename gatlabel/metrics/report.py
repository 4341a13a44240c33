"""All metrics reported by training and evaluation, from one set of logits, with their protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.metrics.f1 import F1Result, confusion_counts, decide, f1_from_counts, f1_scores
from gatlabel.metrics.inputs import (
    Array,
    check_scores,
    harden,
    precision_of,
    real_tensor,
    without_absence,
)
from gatlabel.metrics.ranking import AP_PROTOCOLS, mean_average_precision
from gatlabel.metrics.roc import auroc


@dataclass(frozen=True)
class MetricsReport:
    """The metrics of one model on one set of images.

    Attributes:
        labels: The L names.
        metrics: Flat numbers, NaN where undefined: ``mAP`` (uninterpolated), ``mAP_voc2007``,
            ``mAP_voc2010``; ``mAUROC``; ``CP CR CF1 OP OR OF1`` and ``macro_F1`` at the threshold;
            ``top3_CF1`` and its like (three best that reach the threshold), ``top3_plain_CF1``
            and its like (three best); ``subset_accuracy`` (share of images whose known labels
            are all decided right); ``hamming_loss`` (share of known entries decided wrong);
            ``mean_frequency`` (of the scored labels: the mAP of guessing). Labels that are present
            and never known to be absent count only in subset_accuracy and hamming_loss, which are
            NaN if nothing is known to be absent. If decisions are given, ``decision_CP`` to
            ``decision_OF1`` and ``decision_macro_F1`` refer to them. ``decision_miss_rate`` is the
            mean share of an image's present labels that are missed. ``decision_false_rate`` is the
            mean share of an image's decided labels that are absent. Images without such labels
            count as 0.
        ap: float64 ``(L,)``, uninterpolated; NaN without a positive or a known absence.
        auroc: float64 ``(L,)``; NaN without a positive or a known absence.
        precision: float64 ``(L,)`` of the given decisions, otherwise at the threshold; NaN
            without predictions, or without a known absence.
        recall: float64 ``(L,)``, likewise; NaN without a positive or a known absence.
        f1: float64 ``(L,)``, likewise; NaN without a positive or a known absence.
        frequency: float64 ``(L,)``: share of positives among known entries; NaN if no entry is
            known, or only positives are.
        positives: int64 ``(L,)``.
        known: int64 ``(L,)``: number of known entries.
        left_out: Names of labels without positives, excluded from all means over labels.
        protocol: Sentences that describe how the numbers were computed.
        never_absent: Names of labels with a positive and no known absence, excluded as well.
    """

    labels: tuple[str, ...]
    metrics: dict[str, float]
    ap: Tensor
    auroc: Tensor
    precision: Tensor
    recall: Tensor
    f1: Tensor
    frequency: Tensor
    positives: Tensor
    known: Tensor
    left_out: tuple[str, ...]
    protocol: tuple[str, ...]
    never_absent: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Returns one dict of primitive values per label, with the per-label values by name.

        Undefined values are ``None``, since JSON has no NaN.
        """
        columns = {
            "ap": self.ap,
            "auroc": self.auroc,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "frequency": self.frequency,
            "positives": self.positives,
            "known": self.known,
        }
        values = {name: column.tolist() for name, column in columns.items()}
        return [
            {"label": label} | {name: _plain(values[name][i]) for name in values}
            for i, label in enumerate(self.labels)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for a JSON file: metrics, labels, excluded labels, protocol."""
        return {
            "metrics": {name: _plain(value) for name, value in self.metrics.items()},
            "labels": self.rows(),
            "left_out": list(self.left_out),
            "never_absent": list(self.never_absent),
            "protocol": list(self.protocol),
        }


def evaluate_scores(
    logits: Array,
    targets: Array,
    labels: Sequence[str],
    *,
    threshold: float | Array = 0.5,
    k: int = 3,
    decisions: Array | None = None,
    decided_by: str = "the decisions given",
) -> MetricsReport:
    """Computes all metrics of a set of predictions.

    Args:
        logits: ``(N, L)``; rankings use them directly, without a sigmoid.
        targets: ``(N, L)`` in [0, 1] or -1 for unknown. Soft labels of at least 0.5 count as
            present; the protocol then mentions it.
        labels: The L names.
        threshold: One probability, or ``(L,)`` with one per label.
        k: Number of labels per image for the top-k metrics.
        decisions: bool ``(N, L)``: decisions made in another way, to be evaluated as well.
        decided_by: How they were made, for the protocol.

    Raises:
        InputError: As :func:`average_precision` and :func:`f1_scores`, or if the decisions have
            another shape.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.0], [-3.0, 1.0, 0.0]])
        >>> targets = torch.tensor([[1, 0, 0], [0, 1, -1]])
        >>> report = evaluate_scores(logits, targets, ["cat", "dog", "yak"], k=1)
        >>> report.metrics["mAP"], report.metrics["top1_OF1"], report.left_out
        (1.0, 1.0, ('yak',))
    """
    hard = harden(targets)
    score, target = check_scores(logits, hard, labels)
    one_sided = without_absence(target)
    given, target = target, target.masked_fill(one_sided, -1)  # its precision is always 1
    soft = int((hard != real_tensor(targets, "targets").to(hard.device)).sum())
    ap = mean_average_precision(score, target, labels=labels)
    metrics = {"mAP": ap.value}
    for name in AP_PROTOCOLS:
        if name != ap.protocol:
            metrics[f"mAP_{name}"] = mean_average_precision(score, target, name).value
    # the scores as given: thresholds are rounded to their precision
    plain = f1_scores(logits, target, threshold, logits=True)
    thresholded = f1_scores(logits, target, threshold, logits=True, k=k)
    best = f1_scores(logits, target, threshold, logits=True, k=k, top_k="plain")
    for prefix, result in (("", plain), (f"top{k}_", thresholded), (f"top{k}_plain_", best)):
        metrics |= {f"{prefix}{name}": value for name, value in result.as_dict().items()}
    metrics["macro_F1"] = plain.macro_f1
    area = auroc(score, target)
    metrics["mAUROC"] = float(area[~area.isnan()].mean())
    known = given != -1
    decided = decide(score, given, threshold, logits=True, precision=precision_of(logits))
    wrong = (decided != (given == 1)) & known
    seen = known.any(1)
    any_absent = bool((given == 0).any())  # otherwise predicting all labels would be perfect
    subset, hamming = (~wrong.any(1))[seen].double().mean(), wrong[known].double().mean()
    metrics["subset_accuracy"] = float(subset) if any_absent else math.nan
    metrics["hamming_loss"] = float(hamming) if any_absent else math.nan
    positives, counts = (given == 1).sum(0), known.sum(0)
    frequency = (positives.double() / counts).masked_fill(one_sided, math.nan)
    metrics["mean_frequency"] = float(frequency[(positives > 0) & ~one_sided].mean())
    protocol = [
        f"{len(score)} images, {len(labels)} labels, {int(counts.sum())} known entries of "
        f"{known.numel()}; unknown entries are ignored",
        f"mAP: uninterpolated AP in float64 on logits, ties share a threshold, mean over the "
        f"{int((~ap.per_label.isnan()).sum())} labels with a positive and a known absence",
        f"CP to OF1: {plain.rule}; CP and CR are means over labels with positives, CF1 their "
        "harmonic mean; OP, OR and OF1 are pooled",
        f"top{k}: {thresholded.rule}; top{k}_plain: {best.rule}",
    ]
    final = plain
    if decisions is not None:
        final, more = _decided(decisions, target, given)
        metrics |= more if any_absent else dict.fromkeys(more, math.nan)
        protocol.append(f"decision_*, and precision, recall and F1 of each label: {decided_by}")
    if soft:
        protocol.append(f"{soft} soft targets: present from 0.5 on")
    sides = one_sided.tolist()
    never_absent = tuple(name for name, only in zip(labels, sides, strict=True) if only)
    left_out = tuple(name for name in ap.left_out if name not in never_absent)
    if left_out:
        protocol.append(f"without positives, excluded: {', '.join(left_out)}")
    if never_absent:
        protocol.append(
            f"present and never known to be absent, excluded from AP, precision, recall and F1: "
            f"{', '.join(never_absent)}"
        )
    return MetricsReport(
        labels=tuple(labels),
        metrics=metrics,
        ap=ap.per_label,
        auroc=area,
        precision=final.precision,
        recall=final.recall,
        f1=final.f1,
        frequency=frequency,
        positives=positives,
        known=counts,
        left_out=left_out,
        protocol=tuple(protocol),
        never_absent=never_absent,
    )


def _decided(decisions: Array, target: Tensor, every: Tensor) -> tuple[F1Result, dict[str, float]]:
    """Measures decisions ``(N, L)``: per label, and as flat numbers.

    Args:
        decisions: bool ``(N, L)``.
        target: ``(N, L)``, unknown where a label is never known to be absent.
        every: ``(N, L)`` as given; the miss rate includes labels never known to be absent.
    """
    chosen = real_tensor(decisions, "decisions").to(target.device) > 0
    if chosen.shape != target.shape:
        raise InputError(
            f"decisions {tuple(chosen.shape)} and targets {tuple(target.shape)} must both be (N, L)"
        )
    result = f1_from_counts(*confusion_counts(chosen & (target != -1), target), rule="")
    metrics = {f"decision_{name}": value for name, value in result.as_dict().items()}
    metrics["decision_macro_F1"] = result.macro_f1
    present, known = every == 1, every != -1
    seen = known.any(1)
    for name, wrong, of in (
        ("miss_rate", present & ~chosen, present),
        ("false_rate", chosen & (every == 0), chosen & known),
    ):
        share = wrong.sum(1).double() / of.sum(1).clamp(min=1)
        metrics[f"decision_{name}"] = float(share[seen].mean())
    return result, metrics


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
