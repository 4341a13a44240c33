"""Logarithms of probabilities from logits, exact at any logit, and fast on a CPU.

On a CPU torch computes ``log1p`` and ``expm1`` one by one, but ``log`` and ``exp`` in vectors.
These give the same values to a few units in the last place, several times faster (the method is
Kahan's; Higham, *Accuracy and stability of numerical algorithms*, 2002, section 1.14).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _LogSigmoids(torch.autograd.Function):
    """Both logarithms from one term, with gradients that are sigmoids."""

    @staticmethod
    def forward(z: Tensor) -> tuple[Tensor, Tensor]:
        small = z.abs().neg().exp()
        above = 1 + small
        rest = torch.where(above == 1, small, above.log() * (small / (above - 1)))  # log1p(small)
        zero = torch.zeros_like(z)
        return torch.minimum(z, zero) - rest, torch.minimum(-z, zero) - rest

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        of_p, of_q = slopes
        return of_p * torch.sigmoid(-z) - of_q * torch.sigmoid(z)


class _Expm1(torch.autograd.Function):
    """exp(x) - 1 with the relative precision of x."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        power = x.exp()
        less = power - 1
        # where the power rounds to 1 it is x, and where it rounds to 0 it is -1
        inner = torch.where((power == 1) | (less == -1), 0.5, power)
        return torch.where(power == 1, x, torch.where(less == -1, less, less * (x / inner.log())))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return slope * x.exp()


def log_sigmoids(z: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the logarithms of the sigmoid of z and of -z: those of p and of 1 - p.

    Args:
        z: Logits ``(..., L)``.

    Example:
        >>> log_sigmoids(torch.tensor([0.0, -30.0]))
        (tensor([ -0.6931, -30.0000]), tensor([-6.9315e-01, -9.3576e-14]))
    """
    if z.device.type != "cpu":
        return F.logsigmoid(z), F.logsigmoid(-z)
    log_p, log_q = _LogSigmoids.apply(z)
    return log_p, log_q


def expm1(x: Tensor) -> Tensor:
    """Returns exp(x) - 1.

    Args:
        x: ``(..., L)``.
    """
    if x.device.type != "cpu":
        return torch.expm1(x)
    found: Tensor = _Expm1.apply(x)
    return found
