"""The losses of a run by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gatlabel.losses import AsymmetricLoss, BCELoss, FocalLoss
from gatlabel.training.config import TrainConfig

LOSSES: dict[str, Callable[..., nn.Module]] = {
    "bce": BCELoss,
    "focal": FocalLoss,
    "asl": AsymmetricLoss,
}


def make_loss(config: TrainConfig) -> nn.Module:
    """Builds the loss that the options name."""
    return LOSSES[config.loss.name](**config.loss.arguments())
