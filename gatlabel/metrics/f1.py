"""Precision, recall and F1 of decisions: averaged over labels (CP, …) and pooled (OP, …)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.metrics.inputs import Array, check_scores, precision_of, real_tensor

TOP_K_RULES = {
    "thresholded": "the k best scores per image, if they also reach the threshold",
    "plain": "the k best scores per image, regardless of the threshold",
}


@dataclass(frozen=True)
class F1Result:
    """Precision, recall and F1, each 0 to 1.

    Attributes:
        cp: Precision, averaged over labels with a positive; 0 for a label that is never predicted.
        cr: Recall, averaged over the same labels.
        cf1: The harmonic mean of CP and CR (not the mean of per-label F1).
        op: Precision of all decisions pooled.
        orec: Recall of all decisions pooled (OR in tables).
        of1: The harmonic mean of OP and OR.
        macro_f1: The mean of per-label F1, which some papers call CF1.
        precision: float64 ``(L,)``; NaN without predictions.
        recall: float64 ``(L,)``; NaN without positives.
        f1: float64 ``(L,)``, ``2 TP / (2 TP + FP + FN)``; NaN without positives.
        rule: The decision rule as text.
    """

    cp: float
    cr: float
    cf1: float
    op: float
    orec: float
    of1: float
    macro_f1: float
    precision: Tensor
    recall: Tensor
    f1: Tensor
    rule: str

    def as_dict(self) -> dict[str, float]:
        """Returns the six numbers under their usual names: CP, CR, CF1, OP, OR, OF1."""
        values = (self.cp, self.cr, self.cf1, self.op, self.orec, self.of1)
        return dict(zip(("CP", "CR", "CF1", "OP", "OR", "OF1"), values, strict=True))


def f1_scores(
    scores: Array,
    targets: Array,
    threshold: float | Array = 0.5,
    *,
    logits: bool = False,
    k: int | None = None,
    top_k: str = "thresholded",
    labels: Sequence[str] | None = None,
) -> F1Result:
    """Computes precision, recall and F1 of "score ≥ threshold" or of the k best labels per image.

    Labels without positives are excluded from CP, CR and CF1, as they have no recall, but false
    positives for them count in OP. Without any positive, CP to OF1 are NaN.

    Args:
        scores: ``(N, L)``: probabilities, or logits with ``logits=True``.
        targets: ``(N, L)`` of 1, 0, and -1 for unknown, which is ignored and takes no place among
            the k best.
        threshold: One probability, or ``(L,)`` with one per label, rounded like the scores: a score
            of 0.1 reaches the threshold 0.1 in any precision. With ``logits=True`` the threshold is
            transformed and not the scores, so that no scores become equal.
        logits: Whether scores are logits.
        k: Consider only the k best labels per image; ties are broken by label order.
        top_k: ``"thresholded"`` (as in ML-GCN and later papers: also ≥ threshold) or ``"plain"``
            (as in mmpretrain).
        labels: The L names, for error messages.

    Raises:
        InputError: As :func:`average_precision`; or if scores are outside [0, 1] without
            ``logits=True``, a threshold is not a probability, or k is below 1.

    Example:
        >>> scores = torch.tensor([[0.9, 0.6], [0.2, 0.7]])
        >>> targets = torch.tensor([[1, 0], [1, 1]])
        >>> {name: round(v, 3) for name, v in f1_scores(scores, targets).as_dict().items()}
        {'CP': 0.75, 'CR': 0.75, 'CF1': 0.75, 'OP': 0.667, 'OR': 0.667, 'OF1': 0.667}
    """
    score, target = check_scores(scores, targets, labels)
    decided = decide(
        score, target, threshold, logits=logits, k=k, top_k=top_k, precision=precision_of(scores)
    )
    return f1_from_counts(*confusion_counts(decided, target), rule_in_words(threshold, k, top_k))


def rule_in_words(threshold: float | Array, k: int | None, top_k: str) -> str:
    """Describes the decision rule of :func:`f1_scores` with these options."""
    limits = _limits(threshold)
    limit = "p >= own threshold" if limits.ndim else f"p >= {float(limits):g}"
    if k is None:
        return limit
    return f"top {k} and {limit}" if top_k == "thresholded" else f"top {k}"


def decide(
    score: Tensor,
    target: Tensor,
    threshold: float | Array = 0.5,
    *,
    logits: bool = False,
    k: int | None = None,
    top_k: str = "thresholded",
    precision: torch.dtype | None = None,
) -> Tensor:
    """Decides by the rules of :func:`f1_scores`; the arguments must already be checked.

    Args:
        score: ``(N, L)``.
        target: ``(N, L)``.
        threshold: A probability, or ``(L,)`` of them.
        logits: Whether scores are logits.
        k: Consider only the k best labels per image.
        top_k: ``"thresholded"`` or ``"plain"``.
        precision: Dtype of the scores before the checks (:func:`precision_of`), by default their
            current dtype.

    Returns:
        bool ``(N, L)``; false for unknown targets.
    """
    if top_k not in TOP_K_RULES:
        raise unknown_choice("top-k rule", top_k, TOP_K_RULES)
    if k is not None and k < 1:
        raise InputError(f"k is {k}: it must be at least 1, or None for no limit")
    limit = _limits(threshold).to(score.device)
    if limit.ndim > 1 or (limit.ndim == 1 and len(limit) != score.shape[1]):
        raise InputError(f"thresholds {tuple(limit.shape)}, expected one value or {score.shape[1]}")
    if not bool(((limit >= 0) & (limit <= 1)).all()):
        raise InputError(f"threshold {threshold}: must be a probability between 0 and 1")
    if not logits and score.numel() and (score.min() < 0 or score.max() > 1):
        raise InputError(
            f"scores range from {float(score.min()):g} to {float(score.max()):g} and are not "
            "probabilities: pass logits=True"
        )
    known = target != -1
    # float32 scores, float64 thresholds: 0.1 is above 0.1 in float32 and below it in float16, so
    # round thresholds in the same way
    limit = torch.logit(limit) if logits else limit
    limit = limit.to(precision or score.dtype).to(score.dtype)
    decided = (score >= limit) & known
    if k is not None:
        best = torch.zeros_like(known)
        order = score.masked_fill(~known, -math.inf).argsort(dim=1, descending=True, stable=True)
        if bool((score == -math.inf).any()):  # ties with the value of unknown entries
            last = (~known).gather(1, order).argsort(dim=1, stable=True)
            order = order.gather(1, last)
        best.scatter_(1, order[:, :k], True)
        decided = (decided if top_k == "thresholded" else known) & best
    return decided


def _limits(threshold: float | Array) -> Tensor:
    given = np.float64(threshold) if isinstance(threshold, int | float) else threshold
    return real_tensor(given, "thresholds").double()  # type: ignore[arg-type]


def confusion_counts(decided: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts true positives, false positives and false negatives, int64 ``(L,)`` each."""
    present, absent = target == 1, target == 0
    hit = (decided & present).sum(0)
    return hit, (decided & absent).sum(0), (~decided & present).sum(0)


def f1_from_counts(tp: Tensor, fp: Tensor, fn: Tensor, rule: str) -> F1Result:
    """Computes an :class:`F1Result` from counts ``(L,)``, which may be sums over batches."""
    tp, fp, fn = tp.double(), fp.double(), fn.double()
    has_positive = tp + fn > 0
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    f1 = (2 * tp / (2 * tp + fp + fn)).masked_fill(~has_positive, math.nan)
    cp = float(precision.nan_to_num(0.0)[has_positive].mean())
    cr = float(recall[has_positive].mean())
    hits, alarms, misses = float(tp.sum()), float(fp.sum()), float(fn.sum())
    positives = hits + misses
    op = (hits / (hits + alarms) if hits + alarms else 0.0) if positives else math.nan
    orec = hits / positives if positives else math.nan
    return F1Result(
        cp=cp,
        cr=cr,
        cf1=_harmonic_mean(cp, cr),
        op=op,
        orec=orec,
        of1=_harmonic_mean(op, orec),
        macro_f1=float(f1[has_positive].mean()),
        precision=precision,
        recall=recall,
        f1=f1,
        rule=rule,
    )


def _harmonic_mean(a: float, b: float) -> float:
    return 0.0 if a + b == 0 else 2 * a * b / (a + b)
