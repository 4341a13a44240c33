"""The decision of a multi-class task: its calibration by a temperature. It needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.values import finite_number, line_of_text, of_type, shown, whole_number

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "gatlabel-class-decision-1"
LIMITS = (1e-3, 1e3)  # of the temperature


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
