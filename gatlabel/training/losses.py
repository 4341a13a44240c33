"""The losses of a run by name, and what a run calls their options."""

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
#: By loss, its options: what a run calls each, and what the loss does.
LOSS_OPTIONS: dict[str, dict[str, str]] = {
    "bce": {},
    "focal": {"gamma_positive": "gamma"},
    "asl": {name: name for name in ("gamma_positive", "gamma_negative", "clip")},
}


def make_loss(config: TrainConfig) -> nn.Module:
    """Builds the loss that the options name; those left open are the loss's own."""
    given = {its: getattr(config, name) for name, its in LOSS_OPTIONS[config.loss].items()}
    return LOSSES[config.loss](**{name: v for name, v in given.items() if v is not None})
