"""The base class of losses with one value per entry, and losses that change during training."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from gatlabel.losses.inputs import Reduction, check_reduction, reduce_loss, split_unknown
from gatlabel.nn.constants import HoldsConstants


class EntryLoss(HoldsConstants):
    """A loss with one value per entry of logits ``(..., L)``, so that labels can have weights.

    Subclasses define :meth:`entries`; this class handles unknown targets and the reduction.

    Args:
        reduction: ``"mean"`` over known entries, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If there is no such reduction.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    @abstractmethod
    def entries(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Returns the loss of each entry ``(..., L)``; values at unknown entries are ignored.

        Args:
            z: Logits ``(..., L)``, 0 where the target is unknown.
            y: Targets ``(..., L)`` in [0, 1], 0 where unknown.
            known: bool ``(..., L)``.
        """
        raise NotImplementedError

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        z, y, known = split_unknown(logits, targets)
        return reduce_loss(self.entries(z, y, known), known, self.reduction)

    def extra_repr(self) -> str:
        """Shows the options."""
        return shown_options(self)


def shown_options(module: nn.Module) -> str:
    """Returns the options of a loss, its attributes of primitive type, as ``name=value``."""
    plain = {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "training"}
    return ", ".join(f"{name}={value!r}" for name, value in plain.items())


@runtime_checkable
class UsesProgress(Protocol):
    """A loss that changes during training."""

    def set_progress(self, progress: float, epoch: int) -> None:
        """Sets the progress of training; called before every epoch.

        Args:
            progress: Share of completed epochs, 0 to 1.
            epoch: Number of completed epochs.
        """
        ...


def set_progress(loss: nn.Module, progress: float, epoch: int) -> None:
    """Sets the progress of training in a loss and in every loss inside it."""
    for part in loss.modules():
        if isinstance(part, UsesProgress):
            part.set_progress(progress, epoch)


def needs_whole_batch(kind: type[nn.Module]) -> bool:
    """Whether a loss needs the whole batch: it is not a mean over known entries.

    Such a loss has a true attribute ``whole_batch``.
    """
    return bool(getattr(kind, "whole_batch", False))


def mixture(y: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """``y · positive + (1 - y) · negative``; a term of weight 0 is 0, infinite or not.

    Args:
        y: Targets ``(..., L)`` in [0, 1].
        positive: Loss of a present label ``(..., L)``.
        negative: Loss of an absent label ``(..., L)``.
    """
    return y * positive.where(y != 0, 0.0) + (1 - y) * negative.where(y != 1, 0.0)
