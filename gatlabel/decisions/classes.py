"""Temperature scaling of the probabilities of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.metrics.inputs import Array
from gatlabel.values import finite_number, line_of_text, of_type, shown, whole_number

FORMAT = "gatlabel-class-decision-1"
LIMITS = (1e-3, 1e3)  # of the temperature
_PRIOR = 1e-3  # keeps the temperature of separable classes from 0
_STEPS, _TOLERANCE = 100, 1e-10


@dataclass(frozen=True)
class ClassDecision:
    """Converts logits ``(N, C)`` of classes to probabilities: ``softmax(logits / temperature)``.

    The class is the most probable one, which no temperature changes.

    Attributes:
        labels: The C classes, in the order of the logits.
        temperature: Above 0; more than 1 makes the probabilities less extreme.
        split: The images that it was chosen on.
        images: Number of these images.

    Raises:
        InputError: If the temperature is not in :data:`LIMITS`.
    """

    labels: LabelSet
    temperature: float
    split: str = ""
    images: int = 0

    def __post_init__(self) -> None:
        finite_number(self.temperature, "temperature", *LIMITS)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Returns calibrated probabilities ``(N, C)``."""
        return (logits / self.temperature).softmax(-1)

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values, as stored in ``decisions.json``."""
        return {
            "format": FORMAT,
            "classes": list(self.labels),
            "calibration": {"method": "temperature", "temperature": self.temperature},
            "chosen_on": {"split": self.split, "images": self.images},
        }

    @classmethod
    def from_dict(cls, content: Any, labels: LabelSet) -> Self:
        """Reads the output of :meth:`to_dict`.

        Args:
            content: The values.
            labels: The classes of the model, in its order.

        Raises:
            InputError: If a value is missing or wrong, or the classes differ.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"it is not of the format {FORMAT!r}")
        names = of_type(content.get("classes"), "classes", tuple[str, ...])
        labels.require_same_names(names, "the calibration")
        calibration, chosen = (_table(content, name) for name in ("calibration", "chosen_on"))
        return cls(
            labels,
            finite_number(calibration.get("temperature"), "temperature"),
            line_of_text(chosen.get("split"), "chosen_on.split"),
            whole_number(chosen.get("images"), "chosen_on.images", 0),
        )


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise InputError(f"{name}={shown(value)}: give values by name")
    return value


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
