"""Binary cross-entropy of each label, with unknown targets masked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.losses.inputs import (
    Reduction,
    check_reduction,
    reduce_loss,
    split_unknown,
    weighted,
)
from gatlabel.nn.constants import HoldsConstants
from gatlabel.values import shown


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    pos_weight: Tensor | float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Binary cross-entropy of logits.

    .. math:: -w\, y \log \sigma(z) - (1 - y) \log(1 - \sigma(z))

    computed from the logarithm of the sigmoid, so that value and gradient are accurate for any
    logit. The loss of an infinite logit is 0 if it is correct and infinite if it is wrong, with
    the gradient ±1 of large logits.

    Args:
        logits: ``(..., L)``, any real number.
        targets: ``(..., L)`` in [0, 1] (soft labels weight the two terms), or -1 for unknown: no
            loss and no gradient, whatever the logit.
        pos_weight: w, above 0 and finite: a number or ``(L,)``; above 1 it raises recall.
        reduction: ``"mean"`` over known entries, ``"sum"``, ``"batch_mean"`` (sum over labels,
            mean over images) or ``"none"``.

    Returns:
        A scalar, or ``(..., L)`` with ``"none"``; float32 for half-precision logits.

    Raises:
        InputError: If shapes differ, including that of the weights, or the reduction is unknown.

    Example:
        >>> logits = torch.tensor([[0.0, 3.0, float("nan")]])
        >>> binary_cross_entropy(logits, torch.tensor([[1.0, 1.0, -1.0]]))
        tensor(0.3709)
    """
    z, y, known = split_unknown(logits, targets)
    # torch's own logarithm: training amplifies the last bit, and earlier runs repeat exactly
    positive, negative = weighted(y, F.logsigmoid(z)), weighted(1 - y, F.logsigmoid(-z))
    if pos_weight is not None:
        weight = torch.as_tensor(pos_weight, dtype=z.dtype, device=z.device)
        weight = weight.reshape(()) if weight.numel() == 1 else weight
        if weight.ndim and weight.shape != z.shape[-1:]:
            raise InputError(
                f"pos_weight has the shape {tuple(weight.shape)} for logits {tuple(z.shape)}: give "
                "one number, or one per label"
            )
        positive = positive * weight
    return reduce_loss(positive + negative, known, reduction)


def _checked(pos_weight: Tensor | list[float] | float) -> Tensor:
    try:
        weight = torch.as_tensor(pos_weight, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"pos_weight={shown(pos_weight)}: give a number, or one per label"
        ) from error
    if weight.ndim > 1 or not weight.numel() or isinstance(pos_weight, bool):
        raise InputError(f"pos_weight={shown(pos_weight)}: give a number, or one per label")
    if not bool(((weight > 0) & weight.isfinite()).all()):
        raise InputError(
            f"pos_weight={shown(pos_weight)}: it must be finite and above 0 for every label"
        )
    return weight.squeeze() if weight.numel() == 1 else weight


class BCELoss(HoldsConstants):
    """:func:`binary_cross_entropy` as a module.

    Args:
        pos_weight: The weight of the positive term: a number or L numbers, above 0 and finite.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If a weight is not finite and above 0, there are not as many as labels, or
            there is no such reduction.
    """

    pos_weight: Tensor | None

    def __init__(
        self, pos_weight: Tensor | list[float] | float | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        weight = None if pos_weight is None else _checked(pos_weight)
        # part of the configuration, not of the learned state
        self.constant("pos_weight", weight)
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        return binary_cross_entropy(
            logits, targets, pos_weight=self.pos_weight, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """Shows the options."""
        return f"reduction={self.reduction!r}"
