"""Asymmetric loss: lower weight for the many easy negatives of images with few labels."""

from __future__ import annotations

import math

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


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 0.0,
    clip: float = 0.05,
    detach_focus: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Asymmetric loss (Ridnik et al., ICCV 2021, arXiv 2009.14119, equations 5 to 8).

    .. math::
        -y\, (1 - p)^{\gamma_+} \log p - (1 - y)\, p_m^{\gamma_-} \log(1 - p_m),
        \qquad p_m = \max(p - m, 0)

    with :math:`p = \sigma(z)` and m = ``clip``: negatives below probability m have no loss.
    Logarithms are computed from the logit, so a positive at logit −20 gets its full gradient of
    −1; the published code and timm's clamp the probability at 1e-8 and give it almost none. A
    soft label y mixes the two terms (timm raises a mixed probability to a mixed power instead).
    For targets 0 and 1, timm's ``AsymmetricLossMultiLabel`` is the same up to that clamp.

    The paper sums over labels and images. With ``reduction="mean"``, learning rates suited to
    :func:`binary_cross_entropy` can be kept. The loss is small, since most negatives have almost
    no weight.

    Args:
        logits: ``(..., L)``.
        targets: ``(..., L)`` in [0, 1], or -1 for unknown: no loss and no gradient.
        gamma_negative: Focusing of negatives, ≥ 0 (Query2Label: 2 with clip 0).
        gamma_positive: Focusing of positives, ≥ 0.
        clip: The probability margin m, 0 to below 1.
        detach_focus: Treat the powers as constants in the gradient, as the published code does
            with ``disable_torch_grad_focal_loss``. Values do not change, but gradients do. The
            default is the exact gradient of the formula: for a negative it shrinks again as p
            approaches 1, so that likely label errors have less influence. With constant powers,
            it does not change sign.
        reduction: ``"mean"`` over known entries, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Returns:
        A scalar, or ``(..., L)`` with ``"none"``; float32 for half-precision logits.

    Raises:
        InputError: If shapes differ or an option is out of range.

    Example:
        >>> logits, targets = torch.tensor([[0.0, 0.0, -4.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> asymmetric_loss(logits, targets, reduction="none")
        tensor([[0.6931, 0.0245, 0.0000]])
    """
    _check(gamma_negative, gamma_positive, clip)
    z, y, known = split_unknown(logits, targets)
    log_p, log_q = log_sigmoids(z)
    log_pm, log_qm = _shifted(z, log_p, log_q, clip)
    present, absent = y, 1 - y
    if gamma_positive:
        focus = torch.exp(gamma_positive * steady(log_q, z))
        present = present * (focus.detach() if detach_focus else focus)
    if gamma_negative:
        focus = torch.exp(gamma_negative * log_pm)
        absent = absent * (focus.detach() if detach_focus else focus)
    return reduce_loss(weighted(present, log_p) + weighted(absent, log_qm), known, reduction)


def _shifted(z: Tensor, log_p: Tensor, log_q: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Computes bounded log p_m, and log(1 - p_m); where p_m is 0, they have no gradient."""
    if clip == 0:
        return steady(log_p, z), log_q
    # below the margin the clamp cuts the gradient: infinite logarithms would turn it into NaN
    log_pm = (torch.sigmoid(z) - clip).clamp(min=torch.finfo(z.dtype).tiny).log()
    above = z > math.log(clip / (1 - clip))
    return log_pm, torch.where(above, torch.log(torch.sigmoid(-z) + clip), 0.0)


def _check(gamma_negative: float, gamma_positive: float, clip: float) -> None:
    check_share("gamma_negative", gamma_negative, MOST_GAMMA)
    check_share("gamma_positive", gamma_positive, MOST_GAMMA)
    check_share("clip", clip, 1, below=True)


class AsymmetricLoss(nn.Module):
    """:func:`asymmetric_loss` as a module.

    Args:
        gamma_negative: Focusing of negatives, ≥ 0.
        gamma_positive: Focusing of positives, ≥ 0.
        clip: The probability margin below which negatives have no loss, 0 to below 1.
        detach_focus: Treat the powers as constants in the gradient.
        reduction: ``"mean"``, ``"sum"``, ``"batch_mean"`` or ``"none"``.

    Shapes:
        - logits, targets: ``(..., L)``
        - output: scalar, or ``(..., L)`` with ``"none"``

    Raises:
        InputError: If an option is out of range.
    """

    def __init__(
        self,
        gamma_negative: float = 4.0,
        gamma_positive: float = 0.0,
        clip: float = 0.05,
        detach_focus: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        _check(gamma_negative, gamma_positive, clip)
        self.gamma_negative, self.gamma_positive = gamma_negative, gamma_positive
        self.clip, self.detach_focus, self.reduction = clip, detach_focus, reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(..., L)`` against targets ``(..., L)``."""
        return asymmetric_loss(
            logits,
            targets,
            gamma_negative=self.gamma_negative,
            gamma_positive=self.gamma_positive,
            clip=self.clip,
            detach_focus=self.detach_focus,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Shows the options."""
        return (
            f"gamma_negative={self.gamma_negative}, gamma_positive={self.gamma_positive}, "
            f"clip={self.clip}, reduction={self.reduction!r}"
        )
