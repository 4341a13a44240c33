"""Area under the receiver operating characteristic, per label and its mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gatlabel.metrics.inputs import Array, check_scores


def auroc(scores: Array, targets: Array, *, labels: Sequence[str] | None = None) -> Tensor:
    """Area under the ROC curve of each label.

    It is the share of pairs of a positive and a negative image in which the positive has the higher
    score; equal scores count half (Hanley and McNeil 1982). A constant score has 0.5.

    Args:
        scores: ``(N, L)``; only their order within a label matters. Pass logits.
        targets: ``(N, L)`` of 1, 0, and -1 for unknown, which is ignored.
        labels: The L names, for error messages.

    Returns:
        float64 ``(L,)`` in [0, 1]; NaN for a label that is never known to be present, or never
        known to be absent.

    Raises:
        InputError: If shapes differ, a score is NaN, or a target is not 1, 0 or -1.

    Example:
        >>> scores = torch.tensor([[0.9, 2.0], [0.8, 1.0], [0.1, 0.0]])
        >>> targets = torch.tensor([[1, 0], [0, 0], [1, -1]])
        >>> auroc(scores, targets)
        tensor([0.5000,    nan], dtype=torch.float64)
    """
    score, target = check_scores(scores, targets, labels)
    found = torch.full((score.shape[1],), math.nan, dtype=torch.float64, device=score.device)
    for label, (column, marks) in enumerate(zip(score.T, target.T, strict=True)):
        positives, negatives = column[marks == 1], column[marks == 0].sort().values
        pairs = len(positives) * len(negatives)
        if pairs:
            below = torch.searchsorted(negatives, positives).sum()
            not_above = torch.searchsorted(negatives, positives, right=True).sum()
            found[label] = (below + not_above).double() / (2 * pairs)
    return found


def mean_auroc(scores: Array, targets: Array) -> float:
    """Averages :func:`auroc` over the labels that have one; NaN if there are none.

    Arguments and errors are those of :func:`auroc`.

    Example:
        >>> mean_auroc(torch.tensor([[0.9], [0.8], [0.1]]), torch.tensor([[1], [0], [0]]))
        1.0
    """
    each = auroc(scores, targets)
    return float(each[~each.isnan()].mean())
