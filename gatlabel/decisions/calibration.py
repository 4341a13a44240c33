"""Calibration of each label, shrunk towards a shared calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.metrics.inputs import Array, check_scores

#: Candidate strengths of the prior; the evidence decides.
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
KINDS = ("vector", "temperature")
_STEPS, _LARGEST_STEP, _TOLERANCE = 50, 2.0, 1e-9
_RIDGE = 1e-3  # keeps the shared calibration finite if logits separate the targets


@dataclass(frozen=True)
class Calibration:
    """Calibrated logits ``weight * logits + bias``; the ranking within a label does not change.

    Attributes:
        weight: float64 ``(L,)``, not negative.
        bias: float64 ``(L,)``.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """Returns the calibrated logits ``(N, L)`` of logits ``(N, L)``."""
        return logits * self.weight.to(logits) + self.bias.to(logits)


def fit_calibration(
    logits: Array, targets: Array, kind: Literal["vector", "temperature"] = "vector"
) -> Calibration:
    """Fits logistic calibration on images that the model was not trained on.

    ``vector`` is Platt scaling of each label (Platt 1999; vector scaling in Guo et al. 2017,
    arXiv:1706.04599) with a normal prior around one scaling shared by all labels. The prior's
    strength maximises the evidence, by Laplace's approximation. A label without positives gets
    nearly the shared scaling. ``temperature`` is one weight for all labels, without bias; it cannot
    correct the shift of logits by a weighted or asymmetric loss.

    Args:
        logits: ``(N, L)``; infinite ones are clipped to +-30.
        targets: ``(N, L)`` of 1, 0 and -1 (unknown, left out).
        kind: ``vector`` or ``temperature``.

    Raises:
        InputError: If shapes differ, a value is NaN, or no target is known.
    """
    if kind not in KINDS:
        raise unknown_choice("calibration", kind, KINDS)
    values, exact = check_scores(logits, targets)
    x, known = values.double().clamp(-30, 30), exact >= 0
    if not bool(known.any()):
        raise InputError("all targets are unknown: there is nothing to calibrate on")
    y, mask = (exact == 1).double(), known.double()
    count = x.shape[1]
    if kind == "temperature":
        slope = _temperature(x, y, mask)
        return Calibration(torch.full((count,), slope).double(), torch.zeros(count).double())
    centre, spread = _scale(x, known)
    z = (x - centre) / spread
    weight, bias = _shrunk(z, y, mask, _shared(z, y, mask))
    return Calibration(weight / spread, bias - weight * centre / spread)


def _scale(x: Tensor, known: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of the known entries, to which the prior on slopes refers."""
    kept = x[known]
    spread = float(kept.std(correction=0))
    return float(kept.mean()), spread if spread > 0 else 1.0


def _shared(z: Tensor, y: Tensor, mask: Tensor) -> tuple[float, float]:
    """The shared calibration of all labels, with a non-negative slope."""
    one = (z.reshape(-1, 1), y.reshape(-1, 1), mask.reshape(-1, 1))
    weight, bias, _ = _fit(*one, (1.0, 0.0), _RIDGE)
    return float(weight), float(bias)


def _temperature(x: Tensor, y: Tensor, mask: Tensor) -> float:
    """The slope without bias: Newton's method in its logarithm keeps it above 0."""
    log_slope = 0.0
    for _ in range(_STEPS):
        slope = math.exp(log_slope)
        p = torch.sigmoid(slope * x)
        gradient = slope * float((mask * (p - y) * x).sum()) + _RIDGE * log_slope
        curvature = slope**2 * float((mask * p * (1 - p) * x * x).sum()) + _RIDGE
        step = max(-1.0, min(1.0, gradient / curvature))
        log_slope -= step
        if abs(step) < _TOLERANCE:
            break
    return math.exp(log_slope)


def _shrunk(
    z: Tensor, y: Tensor, mask: Tensor, shared: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """The calibrations of the labels under the prior with the largest evidence."""
    fits = [_fit(z, y, mask, shared, strength) for strength in STRENGTHS]
    weight, bias, _ = max(fits, key=lambda fit: fit[2])
    return weight, bias


def _fit(
    z: Tensor, y: Tensor, mask: Tensor, prior: tuple[float, float], strength: float
) -> tuple[Tensor, Tensor, float]:
    """Logistic regression of each column, with a normal prior of precision ``strength``.

    Returns:
        Slopes ``(L,)``, biases ``(L,)`` and the logarithm of the evidence, up to a constant.
    """
    weight = torch.full((z.shape[1],), prior[0], dtype=torch.float64, device=z.device)
    bias = torch.full_like(weight, prior[1])
    fixed = torch.zeros_like(weight, dtype=torch.bool)  # negative slopes are set to 0
    determinant = torch.ones_like(weight)
    for _ in range(2):
        for _ in range(_STEPS):
            p = torch.sigmoid(weight * z + bias)
            residual, curvature = mask * (p - y), mask * p * (1 - p)
            to_weight = (residual * z).sum(0) + strength * (weight - prior[0])
            to_bias = residual.sum(0) + strength * (bias - prior[1])
            ww = (curvature * z * z).sum(0) + strength
            wb = (curvature * z).sum(0).masked_fill(fixed, 0.0)
            bb = curvature.sum(0) + strength
            to_weight = to_weight.masked_fill(fixed, 0.0)
            determinant = ww * bb - wb * wb
            step = torch.stack([bb * to_weight - wb * to_bias, ww * to_bias - wb * to_weight])
            step = step / determinant
            largest = step.abs().amax(0)
            step = step * (_LARGEST_STEP / largest.clamp(min=_LARGEST_STEP))
            weight, bias = weight - step[0], bias - step[1]
            if float(largest.amax()) < _TOLERANCE:
                break
        negative = weight < 0
        if not bool(negative.any()):
            break
        fixed, weight = negative, weight.masked_fill(negative, 0.0)
    x = weight * z + bias
    likelihood = -(mask * (torch.nn.functional.softplus(x) - y * x)).sum(0)
    distance = (weight - prior[0]) ** 2 + (bias - prior[1]) ** 2
    evidence = likelihood - strength * distance / 2 + math.log(strength) - determinant.log() / 2
    return weight, bias, float(evidence.sum())
