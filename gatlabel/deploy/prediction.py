"""The prediction for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatlabel.explain import ImageExplanation


@dataclass(frozen=True)
class Prediction:
    """The labels of one image, or the reason why it could not be read.

    Attributes:
        source: The image: its path as given, or ``"image 3"`` for an image without a name.
        labels: Names of the labels at or above their threshold, most probable first.
        probabilities: Label -> probability, 0 to 1, calibrated if the model is; all L labels in
            the order of the model.
        thresholds: Label -> the probability from which it counts as present.
        error: Why the image could not be read, or ``None``. With an error, the other fields are
            empty.
        explanation: Heat maps and contributions of neighbours, if requested.
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
        """Returns primitive values for JSON.

        ``{"source", "labels", "probabilities", "thresholds"}``, or ``{"source", "error"}``; with
        ``"explanation"`` if there is one.
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
