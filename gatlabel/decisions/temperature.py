"""The temperature of classes with the least cross-entropy."""

from __future__ import annotations

import math

import torch

from gatlabel.decisions.classes import LIMITS, ClassDecision
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.metrics.inputs import Array

_PRIOR = 1e-3  # keeps the temperature of separable classes from 0
_STEPS, _TOLERANCE = 100, 1e-10


def choose_class_decision(
    logits: Array, classes: Array, labels: LabelSet, *, split: str
) -> ClassDecision:
    """Chooses the temperature on images that the model was not trained on.

    Args:
        logits: ``(N, C)``.
        classes: Integers ``(N,)``, -1 for unknown.
        labels: The C classes.
        split: Name of the set of images.

    Raises:
        InputError: As :func:`fit_temperature`.
    """
    known = int((torch.as_tensor(classes) != UNKNOWN).sum())
    return ClassDecision(labels, fit_temperature(logits, classes), split, known)


def fit_temperature(logits: Array, classes: Array) -> float:
    r"""Returns the temperature T with the least cross-entropy of ``softmax(logits / T)``.

    Temperature scaling (Guo et al., *On calibration of modern neural networks*, ICML 2017,
    arXiv:1706.04599, section 4.2). A weak prior, :math:`5 \cdot 10^{-4} \log^2 T` on the sum over
    images, keeps it finite where the logits separate the classes.

    Args:
        logits: ``(N, C)``; infinite ones are clipped to +-1e4.
        classes: Integers ``(N,)`` below C, -1 for unknown.

    Raises:
        InputError: If shapes differ, a logit is NaN, a class is out of range, or fewer than two
            classes are known.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> logits = torch.randn(4000, 5, generator=generator)
        >>> classes = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
        >>> round(fit_temperature(3 * logits, classes), 1)
        3.0
    """
    z, y = torch.as_tensor(logits).double().cpu(), torch.as_tensor(classes).cpu()
    if z.ndim != 2 or y.shape != z.shape[:1]:
        raise InputError(
            f"logits {tuple(z.shape)}, classes {tuple(y.shape)}: expected (N, C) and (N,)"
        )
    known = y != UNKNOWN
    z, y = z[known], y[known].long()
    if bool(z.isnan().any()):
        raise InputError("a logit is NaN")
    if bool(((y < 0) | (y >= z.shape[1])).any()):
        raise InputError(f"classes: expected numbers from 0 to {z.shape[1] - 1}, or -1")
    if len(y.unique()) < 2:
        raise InputError("fewer than two classes are known: there is nothing to calibrate on")
    z = z.clamp(-1e4, 1e4)
    true = z.gather(1, y[:, None])[:, 0]
    low, high = (-math.log(limit) for limit in reversed(LIMITS))
    place = 0.0  # log(1 / T); the loss is convex in 1 / T, so its slope changes sign once
    for _ in range(_STEPS):
        scale = math.exp(place)
        p = (scale * z).softmax(1)
        mean = (p * z).sum(1)
        slope = scale * float((mean - true).sum()) + _PRIOR * place
        low, high = (low, place) if slope > 0 else (place, high)
        spread = float((p * (z - mean[:, None]).square()).sum())
        step = slope / (scale**2 * spread + _PRIOR)
        middle = (low + high) / 2
        place, before = (place - step if low < place - step < high else middle), place
        if abs(place - before) < _TOLERANCE:
            break
    return math.exp(-place)
