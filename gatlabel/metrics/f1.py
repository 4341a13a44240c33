"""Precision, recall and F1 of decisions, averaged over labels (CP, CR, CF1) and pooled (OP, …)."""

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
    "thresholded": "the k best scores of an image, where they also reach the threshold",
    "plain": "the k best scores of an image, whatever they are",
}


@dataclass(frozen=True)
class F1Result:
    """Precision, recall and F1, each 0 to 1.

    Attributes:
        cp: Precision, averaged over the labels that have a positive; 0 for one never predicted.
        cr: Recall, averaged over the same labels.
        cf1: The harmonic mean of CP and CR (not the mean of the per-label F1).
        op: Precision of all decisions pooled.
        orec: Recall of all decisions pooled (OR in tables).
        of1: The harmonic mean of OP and OR.
        macro_f1: The mean of the per-label F1, which some papers call CF1.
        precision: float64 ``(L,)``; NaN without a prediction.
        recall: float64 ``(L,)``; NaN without a positive.
        f1: float64 ``(L,)``, ``2 TP / (2 TP + FP + FN)``; NaN without a positive.
        rule: What was decided, in words.
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
        """Returns the six numbers under the names of the tables: CP, CR, CF1, OP, OR, OF1."""
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
    """Precision, recall and F1 of "score ≥ threshold", or of the k best labels of each image.

    Labels without a positive are left out of CP, CR and CF1 (they have no recall), but false
    alarms for them count in OP. Without a positive anywhere, CP to OF1 are NaN.

    Args:
        scores: ``(N, L)``: probabilities, or logits with ``logits=True``.
        targets: ``(N, L)`` of 1, 0, and -1 for unknown, which counts neither way and takes no
            place among the k best.
        threshold: A probability, or ``(L,)`` of them, one a label, rounded as the scores are: a
            score of 0.1 reaches the threshold 0.1 in any precision. With ``logits=True`` it is
            the threshold that is transformed, so that no two scores become equal.
        logits: Whether scores are logits.
        k: Decide for the k best labels of each image only; equal scores in label order.
        top_k: ``"thresholded"`` (as ML-GCN and its successors: also ≥ threshold) or ``"plain"``
            (as mmpretrain).
        labels: The L names, for error messages.

    Raises:
        InputError: As :func:`average_precision`; or if scores leave 0..1 without
            ``logits=True``, a threshold is no probability, or k is below 1.

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
    """Says what :func:`f1_scores` decides with these options."""
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
    """Decides as :func:`f1_scores` says; arguments as there, checked before.

    Args:
        score: ``(N, L)``.
        target: ``(N, L)``.
        threshold: A probability, or ``(L,)`` of them.
        logits: Whether scores are logits.
        k: Decide for the k best labels of each image only.
        top_k: ``"thresholded"`` or ``"plain"``.
        precision: That of the scores before they were checked (:func:`precision_of`), by default
            theirs.

    Returns:
        bool ``(N, L)``; False where the target is unknown.
    """
    if top_k not in TOP_K_RULES:
        raise unknown_choice("top-k rule", top_k, TOP_K_RULES)
    if k is not None and k < 1:
        raise InputError(f"k is {k}: it must be at least 1, or None for no limit")
    limit = _limits(threshold).to(score.device)
    if limit.ndim > 1 or (limit.ndim == 1 and len(limit) != score.shape[1]):
        raise InputError(f"thresholds {tuple(limit.shape)}, expected one or {score.shape[1]}")
    if not bool(((limit >= 0) & (limit <= 1)).all()):
        raise InputError(f"threshold {threshold}: it must be a probability from 0 to 1")
    if not logits and score.numel() and (score.min() < 0 or score.max() > 1):
        raise InputError(
            f"scores go from {float(score.min()):g} to {float(score.max()):g}, which are no "
            "probabilities: pass logits=True"
        )
    known = target != -1
    # float32 scores against float64 thresholds: 0.1 in float32 is above 0.1, in float16 below, so
    # round the same
    limit = torch.logit(limit) if logits else limit
    limit = limit.to(precision or score.dtype).to(score.dtype)
    decided = (score >= limit) & known
    if k is not None:
        best = torch.zeros_like(known)
        order = score.masked_fill(~known, -math.inf).argsort(dim=1, descending=True, stable=True)
        if bool((score == -math.inf).any()):  # which sorts no lower than what is unknown
            last = (~known).gather(1, order).argsort(dim=1, stable=True)
            order = order.gather(1, last)
        best.scatter_(1, order[:, :k], True)
        decided = (decided if top_k == "thresholded" else known) & best
    return decided


def _limits(threshold: float | Array) -> Tensor:
    given = np.float64(threshold) if isinstance(threshold, int | float) else threshold
    return real_tensor(given, "thresholds").double()  # type: ignore[arg-type]


def confusion_counts(decided: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts true positives, false positives and false negatives: int64 ``(L,)`` each."""
    present, absent = target == 1, target == 0
    hit = (decided & present).sum(0)
    return hit, (decided & absent).sum(0), (~decided & present).sum(0)


def f1_from_counts(tp: Tensor, fp: Tensor, fn: Tensor, rule: str) -> F1Result:
    """Computes all of :class:`F1Result` from counts ``(L,)``; also of counts summed over parts."""
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
