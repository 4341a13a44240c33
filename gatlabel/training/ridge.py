"""Linear classifiers in closed form: where heads on frozen features start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

#: Penalties that are tried, as multiples of the features' mean square about their mean.
PENALTIES = tuple(10.0 ** (k / 4) for k in range(-12, 11))
LABELS_AT_ONCE = 256


@dataclass(frozen=True)
class LinearStart:
    """A linear classifier to start from: ``logits = features @ weight.T + bias``.

    Attributes:
        weight: float32 ``(L, D)``; zero for labels of which the targets tell nothing.
        bias: float32 ``(L,)``.
        penalty: The λ that leave-one-out chose, in squared units of the features.
    """

    weight: Tensor
    bias: Tensor
    penalty: float


@torch.no_grad()
def ridge_start(features: Tensor, targets: Tensor) -> LinearStart:
    r"""Ridge regression of the labels on the features, its penalty chosen without another split.

    With centred features ``X (N, D)``, the share ``p_i`` of a label among its known targets, and
    ``t = (y − p) / (known share)`` where a target is known, 0 elsewhere::

        W_λ  = (XᵀX / N + λ I)⁻¹ Xᵀ t / N
        ŷ    = (X W_λ − h t) / (1 − h),   h_n = 1/N + x_nᵀ (XᵀX + N λ I)⁻¹ x_n
        λ    = argmin mean over labels of  mean over known n (y − p − ŷ)² / (p (1 − p))
        logit = a W_λ / (p (1 − p)) · (x − mean) + b

    ``ŷ`` is what a fit that never saw picture ``n`` says of it (Hastie, Tibshirani & Friedman, *The
    Elements of Statistical Learning*, 2nd ed. 2009, eq. 7.64), so both λ and the scale of the
    logits are judged on pictures that were not learned from. ``a`` (one number above 0) and ``b``
    (a number a label) maximise the likelihood of the labels given ``ŷ``. Dividing by ``p (1 − p)``
    makes of the regression the log-odds of two Gaussians with one covariance (Fisher's
    discriminant, ibid., section 4.3 and exercise 4.2).

    Costs ``O(N D min(N, D))`` and a pass over ``(N, L)`` a penalty.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.

    Returns:
        Classifiers; of labels whose known targets are all alike, only a bias.
    """
    x, y = features.double(), targets.double()
    known = y >= 0
    count = known.sum(0)
    rate = y.clamp(min=0).sum(0) / count.clamp(min=1)
    usable = (rate > 0) & (rate < 1)
    smooth = ((rate * count + 0.5) / (count + 1)).clamp(1e-6, 1 - 1e-6)
    weight = x.new_zeros(y.shape[1], x.shape[1])
    bias = smooth.logit()
    if not usable.any():
        return LinearStart(weight.float(), bias.float(), float("nan"))
    known, rate, y = known[:, usable], rate[usable], y[:, usable]
    deviation = torch.where(known, y - rate, 0.0)
    regression = _Regression(x, deviation / known.double().mean(0))
    variance = (rate * (1 - rate)).clamp(min=1e-6)
    penalty = min(
        (float(regression.mean_square) * share for share in PENALTIES),
        key=lambda value: regression.error(value, deviation, known, variance),
    )
    scale, offset = _calibrated(regression.held_out(penalty) / variance, y, known, rate)
    found = scale * regression.weight(penalty) / variance[:, None]
    weight[usable] = found
    bias[usable] = offset - found @ regression.mean
    return LinearStart(weight.float(), bias.float(), penalty)


class _Regression:
    """Ridge regression for all penalties at once, from one decomposition ``X = √N U √w Vᵀ``."""

    def __init__(self, x: Tensor, t: Tensor) -> None:
        self.mean = x.mean(0)
        x = x - self.mean
        self.n, width = x.shape
        self.mean_square = x.square().mean().clamp(min=torch.finfo(x.dtype).tiny)
        if self.n <= width:
            w, u = torch.linalg.eigh(x @ x.T / self.n)
        else:
            w, v = torch.linalg.eigh(x.T @ x / self.n)
            u = x @ v / (self.n * w.clamp(min=torch.finfo(x.dtype).tiny)).sqrt()
        kept = w > 1e-10 * w.max()  # the rest is rounding
        self.w, self.u = w[kept], u[:, kept]
        self.t, self.ut, self.ux = t, self.u.T @ t, self.u.T @ x
        self.squares = self.u.square()

    def weight(self, penalty: float) -> Tensor:
        """``W_λ``, ``(L, D)``."""
        return self.ut.T / (self.n * (self.w + penalty)) @ self.ux

    def held_out(self, penalty: float, labels: slice = slice(None)) -> Tensor:
        """``ŷ``, ``(N, labels)``."""
        shrunk = self.w / (self.w + penalty)
        h = (self.squares @ shrunk + 1 / self.n)[:, None]
        fitted = self.u @ (shrunk[:, None] * self.ut[:, labels])
        return (fitted - h * self.t[:, labels]) / (1 - h).clamp(min=1e-6)

    def error(self, penalty: float, deviation: Tensor, known: Tensor, variance: Tensor) -> float:
        """The mean over labels of the squared errors of ``ŷ``, in units of the variance."""
        total = 0.0
        for first in range(0, known.shape[1], LABELS_AT_ONCE):
            part = slice(first, first + LABELS_AT_ONCE)
            off = (deviation[:, part] - self.held_out(penalty, part)).square() * known[:, part]
            total += float((off.sum(0) / known[:, part].sum(0) / variance[part]).sum())
        return total


@torch.enable_grad()
def _calibrated(scores: Tensor, y: Tensor, known: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ``a`` and ``b (L,)`` of the likeliest ``P(y) = σ(a · score + b)``."""
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
