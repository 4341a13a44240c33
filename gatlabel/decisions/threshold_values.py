"""Thresholds given by the caller: probabilities from which labels count as present."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.values import shown

DEFAULT = 0.5


def threshold_of_each(threshold: float | Mapping[str, float], labels: LabelSet) -> dict[str, float]:
    """Returns label -> threshold, in the order of the labels.

    Args:
        threshold: One for all, or one for each label by name; 0 to 1.
        labels: The labels.

    Raises:
        InputError: If a threshold is out of range, or labels are missing or unknown.
    """
    if not isinstance(threshold, Mapping):
        return dict.fromkeys(labels, _probability(threshold, ""))
    labels.require_same_names(threshold, "the thresholds")
    return {name: _probability(threshold[name], f" of label {name!r}") for name in labels}


def _probability(value: Any, where: str) -> float:
    """Checks one threshold; strings and booleans are refused."""
    number = math.nan
    if not isinstance(value, bool | str | bytes):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            number = float(value)
    if not 0 <= number <= 1:
        raise InputError(f"threshold {shown(value)}{where}: expected a probability, 0 to 1")
    return number
