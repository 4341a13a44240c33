"""Weights per label and label smoothing, around any loss."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN
from gatlabel.losses.inputs import check_share, reduce_loss
from gatlabel.nn.constants import HoldsConstants
from gatlabel.values import shown


class LabelWeighted(HoldsConstants):
    """A loss with label weights: every entry is multiplied by the weight of its label.

    The mean still divides by the number of known entries, so weights of mean 1 keep the scale.

    Args:
        loss: One value per entry with ``reduction="none"``; a copy of it is used.
        weights: ``(L,)``, finite and at least 0.

    Raises:
        InputError: If the loss has no value per entry, or a weight is out of range.
    """

    weights: Tensor
    loss: Any  # not nn.Module: the attribute reduction is set

    def __init__(self, loss: nn.Module, weights: Tensor | Sequence[float]) -> None:
        super().__init__()
        reduction = getattr(loss, "reduction", None)
        if not isinstance(reduction, str):
            raise InputError(f"{type(loss).__name__} has no reduction, so labels have no weights")
        found = torch.as_tensor(weights, dtype=torch.float32)
        if found.ndim != 1 or not bool((found.isfinite() & (found >= 0)).all()):
            raise InputError(f"weights={shown(weights)}: give one per label, finite, at least 0")
        self.loss = copy.deepcopy(loss)
        self.loss.reduction = "none"
        self.reduction = reduction
        self.constant("weights", found)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        each: Tensor = self.loss(logits, targets)
        if each.shape != logits.shape or logits.shape[-1] != len(self.weights):
            raise InputError(
                f"{len(self.weights)} weights for logits {tuple(logits.shape)} and losses "
                f"{tuple(each.shape)}: one per label"
            )
        return reduce_loss(each * self.weights, targets != UNKNOWN, self.reduction)


class LabelSmoothing(nn.Module):
    """A loss whose training targets are mixed with 1/2 (Szegedy et al., CVPR 2016, section 7).

    ``y (1 - share) + share / 2`` where the target is known; in evaluation mode targets do not
    change.

    Args:
        loss: Takes logits and targets.
        share: At least 0 and below 1.

    Raises:
        InputError: If the share is out of range.
    """

    def __init__(self, loss: nn.Module, share: float) -> None:
        super().__init__()
        check_share("label_smoothing", share, 1, below=True)
        self.loss, self.share = loss, share

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        if self.training and self.share:
            smooth = targets * (1 - self.share) + self.share / 2
            targets = torch.where(targets == UNKNOWN, targets, smooth)
        loss: Tensor = self.loss(logits, targets)
        return loss


def balanced_weights(present: Tensor, absent: Tensor) -> Tensor:
    """Returns the ratio of negatives to positives per label ``(L,)``; 1 where either is missing.

    Args:
        present: Number of images in which each label is known to be present ``(L,)``.
        absent: Number in which it is known to be absent ``(L,)``.
    """
    both = (present > 0) & (absent > 0)
    return torch.where(both, absent / present.where(both, 1.0), 1.0)
