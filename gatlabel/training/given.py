"""Python objects of a run: data, encoder, loss, callbacks and loggers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatlabel.data import DataSplits
from gatlabel.data.options import Python
from gatlabel.encoders import Encoder
from gatlabel.encoders.encoder import OWN_MODULE
from gatlabel.encoders.options import EncoderOptions
from gatlabel.errors import InputError, first_line
from gatlabel.labels import UNKNOWN
from gatlabel.tasks import Loss
from gatlabel.tasks.task import takes_epoch
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import RECIPES

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger


@dataclass(frozen=True)
class Given:
    """Python objects of a run, which options cannot express.

    Attributes:
        data: The splits.
        encoder: The encoder before training.
        loss: A function of logits and targets ``(B, L)``.
        callbacks: Lightning callbacks.
        loggers: Lightning loggers.
    """

    data: DataSplits | None = None
    encoder: Encoder | None = None
    loss: Loss | None = None
    callbacks: Sequence[Callback] = ()
    loggers: Sequence[Logger] = ()

    @property
    def names(self) -> list[str]:
        """Names of the given objects."""
        return [name for name, value in vars(self).items() if value]

    def new_encoder(self) -> Encoder | None:
        """Returns a copy of the encoder for training."""
        return copy.deepcopy(self.encoder)


def checked(
    config: TrainConfig,
    data: Any = None,
    labels: Sequence[str] | None = None,
    encoder: nn.Module | None = None,
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> tuple[TrainConfig, Given]:
    """Checks the given objects, and returns the options that describe them.

    Raises:
        InputError: If an object has the wrong type, or an option contradicts it.
    """
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

    for name, values, kind in (
        ("callbacks", callbacks, Callback),
        ("loggers", loggers, Logger),
    ):
        for each in values if isinstance(values, Sequence) else [values]:
            if not isinstance(each, kind):
                raise InputError(
                    f"{name}: {type(each).__name__} is not a {kind.__name__} of lightning.pytorch; "
                    f"give a list of them"
                )
    splits = None
    if data is None and labels is not None:
        raise InputError("labels: only for data from Python; files contain their own")
    if data is not None:
        from gatlabel.data.torch_datasets import splits_of

        splits = splits_of(data, labels, seed=config.run.seed)
        config = config.with_options({"data": Python()})
    own = None if encoder is None else _encoder(encoder, config)
    if own is not None:
        config = config.with_options({"encoder.backbone": OWN_MODULE})
    if loss is not None:
        _check_loss(loss, config)
    given = Given(splits, own, loss, tuple(callbacks), tuple(loggers))
    if given.names and config.run.devices not in (1, "auto"):
        raise InputError(
            f"devices={config.run.devices}: not with {given.names[0]} from Python, which other "
            "processes do not have; use one device"
        )
    return config, given


def _encoder(encoder: nn.Module, config: TrainConfig) -> Encoder:
    if not isinstance(encoder, nn.Module):
        raise InputError(f"encoder: {type(encoder).__name__} is not a torch.nn.Module")
    for name in ("backbone", "weights", "stride", "stages", "init"):
        value, usual = getattr(config.encoder, name), getattr(EncoderOptions(), name)
        its = {"backbone": OWN_MODULE, "stages": getattr(encoder, "stages", 1)}.get(name)
        if value not in (usual, None, its):
            raise InputError(f"encoder.{name}={value}: not with an encoder from Python")
    if isinstance(encoder, Encoder):
        return encoder
    size = config.resolved().images.size or 224
    try:
        return Encoder.from_module(encoder, image_size=size)
    except InputError:
        raise
    except Exception as error:  # networks raise various errors for wrong inputs
        raise InputError(
            f"encoder: {type(encoder).__name__} fails on an image of {size} pixels "
            f"({first_line(error)})"
        ) from error


def _check_loss(loss: Loss, config: TrainConfig) -> None:
    """Checks a loss on two images and three labels."""
    if not callable(loss):
        raise InputError(f"loss: {type(loss).__name__} cannot be called with logits and targets")
    if config.loss not in (TrainConfig().loss, RECIPES[config.recipe.name]().loss):
        raise InputError(f"loss.name={config.loss.name}: not with a loss from Python")
    logits = torch.zeros(2, 3, requires_grad=True)
    value = _tried(loss, logits, torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        raise InputError(
            "loss: must return a scalar tensor with a gradient, got "
            f"{getattr(value, 'shape', type(value).__name__)}"
        )
    if not value.isfinite():
        raise InputError("loss: not finite for logits of 0 and targets of 1 and 0")


def _tried(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    options = {"epoch": 0} if takes_epoch(loss) else {}
    try:
        return loss(logits, targets, **options)
    except Exception as error:
        raise InputError(
            f"loss: fails on logits and targets of shape (2, 3): {first_line(error)}"
        ) from error


def require_masking(loss: Loss | None, splits: DataSplits) -> None:
    """Checks that a loss from Python ignores unknown targets, if there are any.

    Raises:
        InputError: If it does not.
    """
    known = ((source.targets.counts().known == len(source)).all() for _, source in splits.items())
    if loss is None or all(known):
        return
    logits = torch.zeros(2, 3, requires_grad=True)
    value = _tried(loss, logits, torch.tensor([[1.0, 0.0, UNKNOWN], [0.0, 1.0, 1.0]]))
    (gradient,) = torch.autograd.grad(value, logits)
    if gradient[0, 2] != 0:
        raise InputError(
            "loss: has a gradient for targets of -1, and some targets are unknown: exclude such "
            "entries from the loss"
        )
