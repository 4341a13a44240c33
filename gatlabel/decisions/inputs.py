"""Common checks of decisions: probabilities, and targets that are 1, 0 or -1."""

from __future__ import annotations

from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.metrics.inputs import Array, check_scores


def check_probabilities(probabilities: Array, targets: Array) -> tuple[Tensor, Tensor]:
    """Converts probabilities and targets to tensors.

    Args:
        probabilities: ``(N, L)`` in [0, 1].
        targets: ``(N, L)`` of 1, 0 and -1 (unknown).

    Returns:
        Probabilities in float32 or float64, and targets as int8.

    Raises:
        InputError: If shapes differ, there are no images, a value is not a probability, or a
            target is not 1, 0 or -1.
    """
    values, exact = check_scores(probabilities, targets)
    if len(values) == 0:
        raise InputError("there are no images to choose a threshold on")
    if values.numel():
        low, high = (float(value) for value in values.aminmax())
        if not (low >= 0 and high <= 1):
            worst = low if low < 0 else high
            raise InputError(
                f"{worst:g} is not a probability, 0 to 1: apply the sigmoid to logits first"
            )
    return values, exact


def check_share(value: float, name: str) -> float:
    """Checks a number strictly between 0 and 1.

    Raises:
        InputError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise InputError(f"{name}={value!r}: expected a number between 0 and 1")
    return float(value)
