"""A linear classifier in closed form where targets are unknown and completed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart
from gatlabel.missing.base import Completion

#: Finds classifiers, given targets ``(N, L)`` and how labels share (``None`` for not at all).
Starter = Callable[[Tensor, Tensor | None], LinearStart]


def completed_start(
    start: Starter, completion: Completion, features: Tensor, sharing: Tensor | None = None
) -> LinearStart:
    """Finds a linear classifier with what is believed of unknown targets in their place.

    The first is learned from the known targets. What it and the label graph believe of the unknown
    ones, as probabilities, completes the targets that the second is learned from. The result lies
    between them, the nearer to the second the more of a label is unknown: by the square root of
    that share.

    Args:
        start: Finds classifiers.
        completion: Has the targets, and what the graph says.
        features: ``(N, D)`` of the training images, in the units of the classifiers.
        sharing: How labels share classifiers; ``None`` for not at all.
    """
    first = start(completion.targets, sharing)
    unknown = (~completion.known).float().mean(0).sqrt()
    if not unknown.any():
        return first
    logits = features @ first.weight.T + first.bias
    second = start(completion.beliefs(logits), sharing)
    weight = torch.lerp(first.weight, second.weight, unknown[:, None])
    bias = torch.lerp(first.bias, second.bias, unknown)
    return LinearStart(weight, bias, second.penalty, first.error)
