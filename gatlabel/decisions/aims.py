"""Aims for choosing decisions: ``macro-f1``, ``precision=0.9``, ``miss-rate=0.1`` and others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from gatlabel.errors import InputError, unknown_choice

#: Descriptions of the aims. Names that end in ``=`` take a value.
AIMS = {
    "macro-f1": "the largest mean of the labels' F1",
    "micro-f1": "the largest F1 of all decisions pooled",
    "precision=": "the lowest thresholds with a precision of at least this",
    "recall=": "the highest thresholds with a recall of at least this",
    "miss-rate=": "a guarantee that at most this share of an image's present labels is missed",
    "fixed=": "this threshold, whatever the data",
}


@dataclass(frozen=True)
class Aim:
    """An aim by name, with its value.

    Attributes:
        name: ``macro-f1``, ``micro-f1``, ``precision``, ``recall``, ``miss-rate`` or ``fixed``.
        value: The number after ``=``, or ``None`` for an aim without a value.
    """

    name: str
    value: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads an aim from its text.

        Raises:
            InputError: If there is no such aim, or its value is missing or out of range.
        """
        name, equals, given = text.partition("=")
        if name in AIMS:
            if equals:
                raise InputError(f"aim={text}: {name} takes no value")
            return cls(name)
        if f"{name}=" not in AIMS:
            raise unknown_choice("aim", text, AIMS)
        try:
            value = float(given)
        except ValueError:
            value = -1.0
        if name == "fixed" and not 0 <= value <= 1:
            raise InputError(f"aim={text}: give a probability from 0 to 1, as fixed=0.5")
        if name != "fixed" and not 0 < value < 1:
            raise InputError(f"aim={text}: give a share between 0 and 1, as {name}=0.1")
        return cls(name, value)

    def check(self, per_label: bool | None, confidence: float | None) -> bool:
        """Checks options in combination with the aim.

        Args:
            per_label: Whether each label has its own threshold; ``None`` uses the aim's default.
            confidence: The probability over draws of images with which a guarantee must hold, or
                ``None``.

        Returns:
            Whether each label has its own threshold.

        Raises:
            InputError: If they cannot be combined.
        """
        own = self.name in ("macro-f1", "precision", "recall") if per_label is None else per_label
        if confidence is not None:
            if not 0 < confidence < 1:
                raise InputError(f"confidence={confidence:g}: expected a number between 0 and 1")
            if self.name not in ("miss-rate", "precision"):
                hint = f"; use miss-rate={1 - (self.value or 0):g}" * (self.name == "recall")
                raise InputError(
                    f"confidence is for the aims miss-rate and precision, not {self}{hint}"
                )
            if self.name == "precision":
                if per_label:
                    raise InputError(
                        "a precision with a confidence has one threshold for all labels: leave out "
                        "per_label, or confidence"
                    )
                own = False
        if own and self.name == "micro-f1":
            raise InputError(
                "micro-f1 has one threshold for all labels: leave out per_label; --calibrate "
                "vector adjusts each label's probabilities instead"
            )
        if own and self.name == "fixed":
            raise InputError(f"{self} is one threshold for all labels: leave out per_label")
        return own

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value:g}"
