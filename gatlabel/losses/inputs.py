"""Common steps of all losses: checks of shapes, unknown entries, reduction."""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal

import torch
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.labels import UNKNOWN
from gatlabel.values import shown

MOST_GAMMA = 1000  # larger powers of probabilities are all 0 or 1
Reduction = Literal["mean", "sum", "batch_mean", "none"]

# Half the range of targets: mixtures of targets may round to a little more than 1.
HALF = 0.5 + 1e-4

REDUCTIONS = {
    "mean": "the mean over all known entries",
    "sum": "the sum",
    "batch_mean": "the sum over labels, averaged over all images of the batch",
    "none": "one value per entry, 0 where the target is unknown",
}


def check_reduction(reduction: str) -> None:
    """Refuses an unknown reduction; the message suggests the nearest one."""
    if reduction not in REDUCTIONS:
        raise unknown_choice("reduction", reduction, REDUCTIONS)


def check_share(name: str, value: float, most: float, *, below: bool = False) -> None:
    """Refuses an option of a loss that is not a number from 0 to a bound.

    Args:
        name: Name of the option.
        value: Its value.
        most: The bound.
        below: Whether the bound is excluded.

    Raises:
        InputError: The message names the option.
    """
    # first, since a string cannot be compared with a number
    wrong = isinstance(value, bool) or not isinstance(value, Real | Tensor)
    if wrong or not (0 <= value < most if below else 0 <= value <= most):
        to = "below " if below else ""
        raise InputError(f"{name} is {shown(value)}: it must be a number from 0 to {to}{most}")


def split_unknown(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masks unknown entries, so that they affect neither value nor gradient.

    Values are not checked, since that would synchronise a GPU at every step. Data readers refuse
    targets outside the convention; such targets here make the loss NaN.

    Args:
        logits: ``(..., L)`` floating point; half precision is computed in float32.
        targets: ``(..., L)`` in [0, 1], or -1; of any real type.

    Returns:
        Logits and targets with 0 where the target is unknown, and the mask of known entries, all
        ``(..., L)``. The replacement stops the gradient, even of infinite and NaN logits.

    Raises:
        InputError: If the shapes differ or the logits are not floating-point numbers.
    """
    if logits.shape != targets.shape or not logits.is_floating_point():
        raise InputError(
            f"logits {tuple(logits.shape)} {logits.dtype} and targets {tuple(targets.shape)} "
            "must have one shape (..., L), logits being floating point"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    y = targets.to(logits.dtype)
    known = y != UNKNOWN
    y = torch.where(known, y, 0.0)
    y = torch.where((y - 0.5).abs() <= HALF, y, math.nan)
    return torch.where(known, logits, 0.0), y, known


def weighted(weight: Tensor, logarithm: Tensor) -> Tensor:
    """``-weight · logarithm`` of probabilities, 0 where the weight is 0, even at infinity.

    So the loss of an infinite logit is 0 if it is correct and infinite if it is wrong, with a
    finite gradient in both cases.

    Args:
        weight: ``(..., L)``, at least 0.
        logarithm: ``(..., L)``, at most 0.
    """
    return weight * torch.where(weight == 0, 0.0, -logarithm)


def steady(logarithm: Tensor, logits: Tensor) -> Tensor:
    """Clamps a logarithm at the root of the largest number, and stops its gradient there.

    Used for factors of a loss that are constant at such logits: their derivative is 0, but its
    product with another factor that is infinite would be NaN.

    Args:
        logarithm: ``(..., L)`` of a probability, at most 0.
        logits: ``(..., L)`` from which it was computed.
    """
    bound = math.sqrt(torch.finfo(logits.dtype).max)
    bounded = logarithm.detach().clamp(min=-bound)
    return torch.where(logits.abs() < bound, logarithm, bounded)


def reduce_loss(loss: Tensor, known: Tensor, reduction: str) -> Tensor:
    """Reduces one value per entry; 0 if no entry is known.

    Args:
        loss: ``(..., L)``.
        known: bool ``(..., L)``.
        reduction: A key of :data:`REDUCTIONS`.

    Raises:
        InputError: If there is no such reduction.
    """
    check_reduction(reduction)
    loss = torch.where(known, loss, 0.0)
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.sum() / known.sum().clamp(min=1)
    if reduction == "batch_mean":
        images = loss.numel() // max(loss.shape[-1], 1) if loss.ndim > 1 else 1
        return loss.sum() / max(images, 1)
    return loss.sum()
