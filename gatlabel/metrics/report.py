"""All metrics reported by training and evaluation, from one set of logits, with their protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gatlabel.metrics.f1 import decide, f1_scores
from gatlabel.metrics.inputs import (
    Array,
    check_scores,
    harden,
    precision_of,
    real_tensor,
    without_absence,
)
from gatlabel.metrics.ranking import AP_PROTOCOLS, mean_average_precision


@dataclass(frozen=True)
class MetricsReport:
    """The metrics of one model on one set of images.

    Attributes:
        labels: The L names.
        metrics: Flat numbers, NaN where undefined: ``mAP`` (uninterpolated), ``mAP_voc2007``,
            ``mAP_voc2010``; ``CP CR CF1 OP OR OF1`` and ``macro_F1`` at the threshold;
            ``top3_CF1`` etc. (three best that reach the threshold), ``top3_plain_CF1`` etc. (three
            best); ``subset_accuracy`` (share of images with all known labels right);
            ``hamming_loss`` (share of known entries decided wrong); ``mean_frequency`` (mean
            frequency of the scored labels, which is the mAP of guessing). ``subset_accuracy`` and
            ``hamming_loss`` include labels that are never known to be absent, and are NaN if no
            entry is known to be absent.
        ap: float64 ``(L,)``, uninterpolated; NaN without a positive or a known absence.
        f1: float64 ``(L,)`` at the threshold; NaN without a positive or a known absence.
        frequency: float64 ``(L,)``: share of positives among known entries; NaN if no entry is
            known, or only presences are.
        positives: int64 ``(L,)``.
        known: int64 ``(L,)``: number of known entries.
        left_out: Names of labels without positives, excluded from all means over labels.
        protocol: Sentences that describe how the numbers were computed.
        never_absent: Names of labels with a positive and no known absence, excluded as well.
    """

    labels: tuple[str, ...]
    metrics: dict[str, float]
    ap: Tensor
    f1: Tensor
    frequency: Tensor
    positives: Tensor
    known: Tensor
    left_out: tuple[str, ...]
    protocol: tuple[str, ...]
    never_absent: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Returns one plain dict per label: label, ap, f1, frequency, positives, known.

        Undefined values are ``None``, since JSON has no NaN.
        """
        columns = {
            "ap": self.ap,
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
) -> MetricsReport:
    """Computes all metrics of a set of predictions.

    Args:
        logits: ``(N, L)``; rankings use them directly, without a sigmoid.
        targets: ``(N, L)`` in [0, 1] or -1 for unknown. Soft labels of at least 0.5 count as
            present; the protocol then mentions it.
        labels: The L names.
        threshold: One probability, or ``(L,)`` with one per label.
        k: Number of labels per image for the top-k metrics.

    Raises:
        InputError: As :func:`average_precision` and :func:`f1_scores`.

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
        f1=plain.f1,
        frequency=frequency,
        positives=positives,
        known=counts,
        left_out=left_out,
        protocol=tuple(protocol),
        never_absent=never_absent,
    )


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
