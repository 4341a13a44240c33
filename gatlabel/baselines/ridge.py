"""Linear classifiers in closed form: where heads on frozen features start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.baselines.regression import KinRegression, Regression, borrowed_spread
from gatlabel.errors import InputError

#: Penalties that are tried, as multiples of the features' mean square about their mean.
PENALTIES = tuple(10.0 ** (k / 4) for k in range(-12, 11))


@dataclass(frozen=True)
class LinearStart:
    """A linear classifier to start from: ``logits = features @ weight.T + bias``.

    Attributes:
        weight: float32 ``(L, D)``; zero for labels of which the targets tell nothing.
        bias: float32 ``(L,)``.
        penalty: The λ that leave-one-out chose, in squared units of the features.
        error: Squared error of leave-one-out, in units of each label's variance, mean over the
            labels with presences and absences: about 1 where features say nothing.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    error: float = float("nan")


@torch.no_grad()
def ridge_start(features: Tensor, targets: Tensor, sharing: Tensor | None = None) -> LinearStart:
    r"""Ridge regression of the labels on the features, its penalty chosen without another split.

    With centred features ``X (N, D)``, the share ``p_i`` of a label among its known targets, and
    ``t = (y − p) / (known share)`` where a target is known, 0 elsewhere::

        W_λ  = (XᵀX / N + λ I)⁻¹ Xᵀ t / N
        ŷ    = (X W_λ − h t) / (1 − h),   h_n = 1/N + x_nᵀ (XᵀX + N λ I)⁻¹ x_n
        λ    = argmin mean over labels of  mean over known n (y − p − ŷ)² / (p (1 − p))
        logit = a W_λ / (p (1 − p)) · (x − mean) + b

    ``ŷ`` is what a fit that never saw image ``n`` says of it (Hastie, Tibshirani & Friedman, *The
    Elements of Statistical Learning*, 2nd ed. 2009, eq. 7.64), so both λ and the scale of the
    logits are judged on images that were not learned from. ``a`` (one number above 0) and ``b``
    (a number a label) maximise the likelihood of the labels given ``ŷ``. Dividing by ``p (1 − p)``
    makes of the regression the log-odds of two Gaussians with one covariance (Fisher's
    discriminant, ibid., section 4.3 and exercise 4.2).

    **Kin.** With ``sharing`` C the classifiers are those of ``W = C V`` with independent rows of V,
    that is, with the prior covariance ``K = C Cᵀ`` between labels, of the regression in units of
    each label's own spread, ``t_i / √(p_i (1 − p_i))``. In the basis in which ``K = A diag(k) Aᵀ``
    labels are independent with penalties ``λ / k`` (Bonilla, Chai & Williams, *Multi-task Gaussian
    Process Prediction*, NeurIPS 2007, eq. 1-2, in its weight-space form), so leave-one-out stays
    closed. A label whose known targets are all alike, or that has none, then has the classifier
    that its kin suggest (a little less of it, as for the regression an unknown target is an average
    one), in the mean of their units, for its own spread is not known.

    Costs ``O(N D min(N, D))`` and a pass over ``(N, L)`` a penalty; with ``sharing``, ``O(L³)`` and
    a product ``(N, L) x (L, L)`` a penalty besides: some minutes at 10,000 labels.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        sharing: C ``(L, L)``, or none: labels on their own. It must hold nothing that was learned
            from these targets, or leave-one-out is not one.

    Returns:
        Classifiers; of labels whose known targets are all alike, only a bias, unless they share.
        Without any known target the bias is that of the frequency of labels in general.

    Raises:
        InputError: If ``sharing`` is not ``(L, L)``.
    """
    return ridge_fit(features, targets, sharing)[0]


@torch.no_grad()
def ridge_fit(
    features: Tensor, targets: Tensor, sharing: Tensor | None = None
) -> tuple[LinearStart, Tensor]:
    """Returns :func:`ridge_start`, and the logits of each image by a fit that left it out.

    Args:
        features: As :func:`ridge_start` takes them.
        targets: Likewise.
        sharing: Likewise.

    Returns:
        The classifiers, and float64 ``(N, L)``: the bias for labels whose known targets are alike.

    Raises:
        InputError: As :func:`ridge_start`.
    """
    x, y = features.double(), targets.double()
    if sharing is not None and sharing.shape != (y.shape[1], y.shape[1]):
        raise InputError(
            f"the labels' sharing is {tuple(sharing.shape)} for {y.shape[1]} labels: "
            f"expected ({y.shape[1]}, {y.shape[1]})"
        )
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
    # labels on their own that say nothing need no regression
    part = usable if sharing is None else torch.ones_like(usable)
    spread = (rate * (1 - rate)).clamp(min=1e-6).sqrt()
    if sharing is not None:
        spread = torch.where(usable, spread, borrowed_spread(spread, sharing.double(), usable))
    known, rate, y, spread = known[:, part], rate[part], y[:, part], spread[part]
    deviation = torch.where(known, y - rate, 0.0) / spread
    wanted = deviation / known.double().mean(0).clamp(min=1 / len(x))
    regression = (
        Regression(x, wanted) if sharing is None else KinRegression(x, wanted, sharing.double())
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
    return LinearStart(weight.float(), bias.float(), penalty, error), left_out


@torch.enable_grad()
def calibrated(scores: Tensor, y: Tensor, known: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ``a`` and ``b (L,)`` of the likeliest ``P(y) = σ(a · score + b)``.

    Args:
        scores: ``(N, L)``, of images that were not learned from.
        y: ``(N, L)`` in [0, 1].
        known: bool ``(N, L)``; of every label a target that is not 0 and one that is not 1.
        rate: ``(L,)`` in (0, 1): where b starts.
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
        total = each + power.square() / (2 * known.sum())  # where any a would do, a = 1
        total.backward()
        return total

    optimizer.step(loss)
    return power.detach().exp(), offset.detach()
