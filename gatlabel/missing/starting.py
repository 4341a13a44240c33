"""Closed-form initialisation of a linear classifier with unknown targets that are completed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart
from gatlabel.missing.base import Completion

#: Fits classifiers to targets ``(N, L)`` with a mixing matrix (``None`` for no sharing).
Starter = Callable[[Tensor, Tensor | None], LinearStart]


def completed_start(
    start: Starter, completion: Completion, features: Tensor, sharing: Tensor | None = None
) -> LinearStart:
    """Fits a linear classifier to targets in which estimates replace the unknown entries.

    A first classifier is fitted to the known targets. Its estimates, combined with the label graph
    as probabilities, complete the targets to which the second classifier is fitted. The result
    interpolates between the two, with the square root of the label's unknown share as the weight of
    the second.

    Args:
        start: Fits classifiers.
        completion: Provides the targets and the evidence of the graph.
        features: ``(N, D)`` of the training images, in the units of the classifiers.
        sharing: The mixing matrix of classifiers, or ``None`` for no sharing.
    """
    first = start(completion.targets, sharing)
    unknown = (~completion.known).float().mean(0).sqrt()
    if not unknown.any():
        return first
    logits = features @ first.weight.T + first.bias
    second = start(completion.estimates(logits), sharing)
    weight = torch.lerp(first.weight, second.weight, unknown[:, None])
    bias = torch.lerp(first.bias, second.bias, unknown)
    return LinearStart(weight, bias, second.penalty, first.error, first.frequent_error)
