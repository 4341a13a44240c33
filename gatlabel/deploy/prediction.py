"""The labels of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatlabel.explain import ImageExplanation


@dataclass(frozen=True)
class Prediction:
    """The labels of one image, or why there are none.

    Attributes:
        source: The image: its path as it was given, or ``"image 3"`` for one without a name.
        labels: Names of the labels at or above their threshold, most probable first.
        probabilities: Label -> probability, 0 to 1, calibrated where the model is; all L of
            them in the model's order.
        thresholds: Label -> the probability from which it counts as present.
        error: Why the image could not be read, or ``None``; then the other fields are empty.
        explanation: Heat maps and contributions of neighbours, where they were asked for.
    """

    source: str
    labels: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    explanation: ImageExplanation | None = None

    @property
    def ok(self) -> bool:
        """Whether the image could be read."""
        return self.error is None

    def top(self, k: int) -> list[tuple[str, float]]:
        """Returns the ``k`` most probable labels with their probabilities, best first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return ranked[:k]

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold.

        ``{"source", "labels", "probabilities", "thresholds"}``, or ``{"source", "error"}``; with
        ``"explanation"`` where there is one.
        """
        if self.error is not None:
            return {"source": self.source, "error": self.error}
        found = {
            "source": self.source,
            "labels": list(self.labels),
            "probabilities": dict(self.probabilities),
            "thresholds": dict(self.thresholds),
        }
        if self.explanation is not None:
            found["explanation"] = self.explanation.to_dict()["labels"]
        return found
