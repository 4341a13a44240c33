"""Focal loss: lower weight for entries that are already classified well."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.losses.inputs import (
    MOST_GAMMA,
    Reduction,
    check_reduction,
    check_share,
    reduce_loss,
    split_unknown,
    steady,
    weighted,
)
from gatlabel.losses.logarithms import log_sigmoids


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Focal loss (Lin et al., ICCV 2017, arXiv 1708.02002, equations 4 and 5).

    .. math:: -\alpha\, y\, (1 - p)^\gamma \log p - (1 - \alpha)\, (1 - y)\, p^\gamma \log(1 - p)

    with :math:`p = \sigma(z)`, and both α-factors 1 when ``alpha`` is ``None``. ``gamma=0`` is
    binary cross-entropy. The powers are computed from logarithms of the sigmoid, so value and
    gradient are accurate for any logit and any gamma ≥ 0. (For an infinite logit, the loss is 0 or
    infinite, and the gradient is the limit for large logits.)

    A soft label y mixes the two terms. torchvision's ``sigmoid_focal_loss`` is the same for
    targets 0 and 1 (its default alpha is 0.25, its default reduction "none").

    Args:
        logits: ``(..., L)``.
        targets: ``(..., L)`` in [0, 1], or -1 for unknown: no loss and no gradient.
        gamma: Focusing exponent, ≥ 0: larger values reduce the weight of easy entries.
        alpha: The weight of positives, 0 to 1; negatives get 1 − alpha.
        reduction: ``"mean"`` over known entries, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Returns:
        A scalar, or ``(..., L)`` with ``"none"``; float32 for half-precision logits.

    Raises:
        InputError: If shapes differ or an option is out of range.

    Example:
        >>> logits, targets = torch.tensor([[0.0, 4.0]]), torch.tensor([[1.0, 1.0]])
        >>> focal_loss(logits, targets, reduction="none")
        tensor([[1.7329e-01, 5.8716e-06]])
    """
    _check(gamma, alpha)
    z, y, known = split_unknown(logits, targets)
    log_p, log_q = log_sigmoids(z)
    positive = weighted(y * torch.exp(gamma * steady(log_q, z)), log_p)
    negative = weighted((1 - y) * torch.exp(gamma * steady(log_p, z)), log_q)
    if alpha is not None:
        # a term of weight 0 is skipped, since it may be infinite
        positive = alpha * positive if alpha > 0 else torch.zeros_like(positive)
        negative = (1 - alpha) * negative if alpha < 1 else torch.zeros_like(negative)
    return reduce_loss(positive + negative, known, reduction)


def _check(gamma: float, alpha: float | None) -> None:
    check_share("gamma", gamma, MOST_GAMMA)
    if alpha is not None:
        check_share("alpha", alpha, 1)


class FocalLoss(nn.Module):
    """:func:`focal_loss` as a module.

    Args:
        gamma: Focusing exponent, ≥ 0: larger values reduce the weight of easy entries.
        alpha: The weight of positives, 0 to 1, or ``None`` for no weights.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.
    """

    def __init__(
        self, gamma: float = 2.0, alpha: float | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        _check(gamma, alpha)
        self.gamma, self.alpha, self.reduction = gamma, alpha, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        return focal_loss(
            logits, targets, gamma=self.gamma, alpha=self.alpha, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """Shows the options."""
        return f"gamma={self.gamma}, alpha={self.alpha}, reduction={self.reduction!r}"
