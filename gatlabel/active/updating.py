"""Bayesian update of classifiers by answers, with the classifiers of the run as prior mean."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.active.variance import PENALTY, strength
from gatlabel.baselines.moments import Moments
from gatlabel.labels import UNKNOWN

STEPS = 50
TOLERANCE = 1e-8


@torch.no_grad()
def updated_classifiers(
    weight: Tensor,
    bias: Tensor,
    moments: Moments,
    known: Tensor,
    rates: Tensor,
    features: Tensor,
    answers: Tensor,
) -> tuple[Tensor, Tensor]:
    r"""Returns classifiers after answers about single labels, without the training images.

    A Laplace approximation of the trained classifier is the prior: mean w₀, and the inverse
    covariance ``C⁻¹ = k p (1 − p) (S + λ I)`` of logistic regression on the k images in which the
    label was known. The posterior mode satisfies ``w = w₀ + C Xᵀ (y − σ(X w))``, and Newton's
    method finds it in the space of the answers (Rasmussen & Williams, *Gaussian Processes for
    Machine Learning*, 2006, algorithm 3.1, with a mean). The classifier of a label without answers
    does not change, bit for bit.

    Args:
        weight: ``(L, D)``.
        bias: ``(L,)``.
        moments: Mean and covariance of the training images' features.
        known: k ``(L,)``, number of training images in which each label was known.
        rates: p ``(L,)``, in (0, 1).
        features: ``(n, D)`` of the images with answers.
        answers: ``(n, L)``: 1, 0, or -1 where there is none.

    Returns:
        Weight and bias, float32.
    """
    new_weight, new_bias = weight.clone(), bias.clone()
    x = features.double() - moments.mean
    penalty = PENALTY * moments.mean_square
    solved = moments.solve(x, penalty)  # (n, D)
    kernel = x @ solved.T + 1.0  # the bias at the mean is free as a feature of variance 1
    prior = strength(known, rates).tolist()
    for label in (answers != UNKNOWN).any(0).nonzero()[:, 0].tolist():
        rows = answers[:, label] != UNKNOWN
        y = answers[rows, label].double()
        before = x[rows] @ weight[label].double()
        before = before + weight[label].double() @ moments.mean + bias[label].double()
        residual = _residuals(kernel[rows][:, rows] / prior[label], y, before)
        step = residual / prior[label]
        change = step @ solved[rows]
        new_weight[label] = (weight[label].double() + change).float()
        at_mean = bias[label].double() + step.sum()
        new_bias[label] = (at_mean - change @ moments.mean).float()
    return new_weight, new_bias


def _residuals(kernel: Tensor, y: Tensor, before: Tensor) -> Tensor:
    """Solves ``a = y − σ(f₀ + K a)`` by Newton's method, with halved steps where it overshoots."""
    a = torch.zeros_like(y)
    gap = y - torch.sigmoid(before)
    identity = torch.eye(len(y), dtype=y.dtype)
    for _ in range(STEPS):
        if float(gap.abs().max()) < TOLERANCE:
            break
        chance = y - a - gap  # σ(f)
        slope = chance * (1 - chance)
        step = torch.linalg.solve(identity + slope[:, None] * kernel, gap)
        share = 1.0
        while share > 1e-3:
            moved = a + share * step
            left = y - torch.sigmoid(before + kernel @ moved) - moved
            if float(left.square().sum()) < float(gap.square().sum()):
                break
            share /= 2
        a, gap = moved, left
    return a
