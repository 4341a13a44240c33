"""From which probability a label counts as present."""

from __future__ import annotations

from collections.abc import Mapping

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet

DEFAULT = 0.5


def threshold_of_each(threshold: float | Mapping[str, float], labels: LabelSet) -> dict[str, float]:
    """Returns label -> threshold, in the order of the labels.

    Args:
        threshold: One for all, or one for each label by name; 0 to 1.
        labels: The labels.

    Raises:
        InputError: If a threshold is out of range, or labels are missing or extra.
    """
    if isinstance(threshold, Mapping):
        labels.require_same_names(threshold, "the thresholds")
        values = {name: float(threshold[name]) for name in labels}
    else:
        values = dict.fromkeys(labels, float(threshold))
    for name, value in values.items():
        if not 0 <= value <= 1:
            where = f" of label {name!r}" if isinstance(threshold, Mapping) else ""
            raise InputError(f"threshold {value}{where}: expected a probability, 0 to 1")
    return values
