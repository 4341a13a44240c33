"""Closed-form linear classifiers, which initialise heads on frozen features."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.baselines.regression import Regression, SharedRegression, neighbour_spread
from gatlabel.errors import InputError

#: Candidate penalties, as multiples of the features' mean square about their mean.
PENALTIES = tuple(10.0 ** (k / 4) for k in range(-12, 11))
#: Presences and absences of a label whose own error says something.
FREQUENT = 10


@dataclass(frozen=True)
class LinearStart:
    """A linear classifier as initialisation: ``logits = features @ weight.T + bias``.

    Attributes:
        weight: float32 ``(L, D)``; zero for labels with uninformative targets.
        bias: float32 ``(L,)``.
        penalty: The λ chosen by leave-one-out, in squared units of the features.
        error: Squared leave-one-out error, in units of each label's variance, averaged over labels
            with presences and absences: about 1 if the features are uninformative.
        frequent_error: The same for labels with at least ten presences and ten absences; NaN if
            there is none.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    error: float = float("nan")
    frequent_error: float = float("nan")


@torch.no_grad()
def ridge_start(
    features: Tensor,
    targets: Tensor,
    sharing: Tensor | None = None,
    groups: Sequence[Hashable] | None = None,
) -> LinearStart:
    r"""Fits ridge regression of the labels on the features, with the penalty by leave-one-out.

    With centred features ``X (N, D)``, the share ``p_i`` of a label among its known targets, and
    ``t = (y − p) / (known share)`` where a target is known, 0 elsewhere::

        W_λ  = (XᵀX / N + λ I)⁻¹ Xᵀ t / N
        ŷ    = (X W_λ − h t) / (1 − h),   h_n = 1/N + x_nᵀ (XᵀX + N λ I)⁻¹ x_n
        λ    = argmin mean over labels of  mean over known n (y − p − ŷ)² / (p (1 − p))
        logit = a W_λ / (p (1 − p)) · (x − mean) + b

    ``ŷ`` are the predictions for image ``n`` of a fit without it (Hastie, Tibshirani & Friedman,
    *The Elements of Statistical Learning*, 2nd ed. 2009, eq. 7.64), so both λ and the scale of the
    logits are chosen on images not used in the fit. ``a`` (one number above 0) and ``b`` (one
    number per label) maximise the likelihood of the labels given ``ŷ``. Dividing by ``p (1 − p)``
    turns the regression into the log-odds of two Gaussians with a common covariance (Fisher's
    discriminant, ibid., section 4.3 and exercise 4.2).

    **Groups.** Images of one group G (a patient, a video) are left out together, as a fit without
    one of them has seen the others. With the block ``H_GG`` of the hat matrix
    ``H = X (XᵀX + N λ I)⁻¹ Xᵀ + 1/N`` the predictions are ``ŷ_G = (I − H_GG)⁻¹ (ŷ − H t)_G``, where
    ``ŷ`` on the right is the fit to all images; a group of one image has the formula above.

    **Similar labels.** With ``sharing`` C the classifiers are ``W = C V`` with independent rows of
    V. This is the prior covariance ``K = C Cᵀ`` between labels, for the regression in units of each
    label's own spread, ``t_i / √(p_i (1 − p_i))``. In the basis in which ``K = A diag(k) Aᵀ``,
    labels are independent with penalties ``λ / k`` (Bonilla, Chai & Williams, *Multi-task Gaussian
    Process Prediction*, NeurIPS 2007, eq. 1-2, in its weight-space form), so leave-one-out keeps a
    closed form. A label without known targets, or whose known targets are all equal, gets the
    classifier predicted by similar labels, in the mean of their units, as its own spread is
    unknown. Its norm is slightly reduced, as unknown targets enter as the mean.

    The cost is ``O(N D min(N, D))`` and one pass over ``(N, L)`` per penalty. ``sharing`` adds
    ``O(L³)`` and one product ``(N, L) x (L, L)`` per penalty: some minutes at 10,000 labels. Groups
    of g images multiply the cost per penalty by about g.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        sharing: The mixing matrix C ``(L, L)``, or ``None`` for independent labels. It must not
            depend on these targets, or leave-one-out is biased.
        groups: The group of each image, N values. By default, and with fewer than two groups, each
            image is left out alone.

    Returns:
        Classifiers. Labels whose known targets are all equal get a bias only, unless they share.
        Without any known target the bias is that of the mean label frequency.

    Raises:
        InputError: If ``sharing`` is not ``(L, L)``, or the number of groups is not N.
    """
    return ridge_fit(features, targets, sharing, groups)[0]


@torch.no_grad()
def ridge_fit(
    features: Tensor,
    targets: Tensor,
    sharing: Tensor | None = None,
    groups: Sequence[Hashable] | None = None,
) -> tuple[LinearStart, Tensor]:
    """Returns :func:`ridge_start`, and the leave-one-out logits of all images.

    Args:
        features: See :func:`ridge_start`.
        targets: See :func:`ridge_start`.
        sharing: See :func:`ridge_start`.
        groups: See :func:`ridge_start`.

    Returns:
        The classifiers, and float64 logits ``(N, L)``; the bias for labels whose known targets are
        all equal.

    Raises:
        InputError: As :func:`ridge_start`.
    """
    x, y = features.double(), targets.double()
    if sharing is not None and sharing.shape != (y.shape[1], y.shape[1]):
        raise InputError(
            f"the mixing matrix has shape {tuple(sharing.shape)} for {y.shape[1]} labels: "
            f"expected ({y.shape[1]}, {y.shape[1]})"
        )
    if groups is not None and len(groups) != len(y):
        raise InputError(f"{len(groups)} groups for {len(y)} images: give one per image")
    known = y >= 0
    count = known.sum(0)
    rate = y.clamp(min=0).sum(0) / count.clamp(min=1)
    usable = (rate > 0) & (rate < 1)
    smooth = (rate * count + 0.5) / (count + 1)
    overall = ((rate * count).sum() + 0.5) / (count.sum() + 1)
    smooth = torch.where(count > 0, smooth, overall).clamp(1e-6, 1 - 1e-6)
    weight = x.new_zeros(y.shape[1], x.shape[1])
    bias = smooth.logit()
    if not usable.any():
        return LinearStart(weight.float(), bias.float(), float("nan")), bias.expand_as(y)
    # independent labels with uninformative targets need no regression
    part = usable if sharing is None else torch.ones_like(usable)
    spread = (rate * (1 - rate)).clamp(min=1e-6).sqrt()
    if sharing is not None:
        spread = torch.where(usable, spread, neighbour_spread(spread, sharing.double(), usable))
    known, rate, y, spread = known[:, part], rate[part], y[:, part], spread[part]
    deviation = torch.where(known, y - rate, 0.0) / spread
    wanted = deviation / known.double().mean(0).clamp(min=1 / len(x))
    regression = (
        Regression(x, wanted, groups)
        if sharing is None
        else SharedRegression(x, wanted, sharing.double(), groups)
    )
    judged = usable[part]
    penalty = min(
        (float(regression.mean_square) * share for share in PENALTIES),
        key=lambda value: regression.error(value, deviation, known, judged),
    )
    held_out = regression.held_out(penalty)[:, judged] / spread[judged]
    scale, offset = calibrated(held_out, y[:, judged], known[:, judged], rate[judged])
    found = scale * regression.weight(penalty) / spread[:, None]
    weight[part] = found
    bias[usable] = offset
    left_out = bias.repeat(len(x), 1)
    left_out[:, usable] += scale * held_out
    bias[part] -= found @ regression.mean
    error = regression.error(penalty, deviation, known, judged) / int(judged.sum())
    present = torch.where(known, y, 0.0).sum(0)
    frequent = judged & (torch.minimum(present, known.sum(0) - present) >= FREQUENT)
    own = float("nan")
    if frequent.any():
        own = regression.error(penalty, deviation, known, frequent) / int(frequent.sum())
    return LinearStart(weight.float(), bias.float(), penalty, error, own), left_out


@torch.enable_grad()
def calibrated(scores: Tensor, y: Tensor, known: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ``a`` and ``b (L,)`` of the maximum-likelihood ``P(y) = σ(a · score + b)``.

    Args:
        scores: ``(N, L)``, for images not used in the fit.
        y: ``(N, L)`` in [0, 1].
        known: bool ``(N, L)``; every label needs a known target below 1 and one above 0.
        rate: ``(L,)`` in (0, 1), the initial value of σ(b).
    """
    power = torch.zeros((), dtype=scores.dtype, requires_grad=True)  # a = exp(power) > 0
    offset = rate.logit().clone().requires_grad_()
    weight = known.to(scores.dtype) / known.sum()
    optimizer = torch.optim.LBFGS(
        [power, offset], max_iter=50, line_search_fn="strong_wolfe", tolerance_change=1e-10
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = power.exp() * scores + offset
        each = F.binary_cross_entropy_with_logits(
            logits, y.clamp(min=0), weight=weight, reduction="sum"
        )
        total = each + power.square() / (2 * known.sum())  # a = 1 where a is undetermined
        total.backward()
        return total

    optimizer.step(loss)
    return power.detach().exp(), offset.detach()
