"""Decisions, from logits to label sets: calibration, thresholds, and how they were chosen."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatlabel.decisions.aims import Aim
from gatlabel.decisions.threshold_values import DEFAULT, threshold_of_each
from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.labels import LabelSet
from gatlabel.values import finite_number, line_of_text, of_type, shown, truth_value, whole_number

FORMAT = "gatlabel-decisions-1"
FILE = "decisions.json"
CALIBRATIONS = ("none", "temperature", "vector")
OUT_OF_FOLD = "out-of-fold"


@dataclass(frozen=True)
class Decision:
    """Converts logits ``(N, L)`` to label sets. It needs NumPy only.

    A label is predicted as present if ``sigmoid(weight * logit + bias)`` is at least its threshold;
    without calibration, weights are 1 and biases 0.

    Attributes:
        labels: The L labels, in the order of the logits.
        thresholds: Label -> probability from which it is present, 0 to 1.
        scaling: Label -> (weight, bias) of its calibration; empty without calibration.
        calibrate: ``none``, ``temperature`` or ``vector``.
        aim: The aim, such as ``macro-f1`` or ``miss-rate=0.1``; empty if the thresholds were given.
        per_label: Whether each label has its own threshold.
        confidence: The probability over draws of images with which a guarantee holds, if there is
            one.
        split: The images that calibration and thresholds were chosen on: ``val``, ``test``,
            ``out-of-fold``; empty if there were none.
        images: Number of these images.
        notes: Warnings about aims that could not be reached.

    Raises:
        InputError: If a value is out of range, or labels are missing or unknown.
    """

    labels: LabelSet
    thresholds: Mapping[str, float]
    scaling: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    calibrate: str = "none"
    aim: str = ""
    per_label: bool = False
    confidence: float | None = None
    split: str = ""
    images: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        thresholds = threshold_of_each(self.thresholds, self.labels)
        object.__setattr__(self, "thresholds", thresholds)
        if self.aim:
            Aim.parse(self.aim).check(self.per_label, self.confidence)
        if self.calibrate not in CALIBRATIONS or bool(self.scaling) != (self.calibrate != "none"):
            raise InputError(
                f"calibrate={shown(self.calibrate)}: expected {', '.join(CALIBRATIONS)}, with "
                "weight and bias of each label where it is not none"
            )
        if self.scaling:
            self.labels.require_same_names(self.scaling, "the calibration")
            scaling = {name: _weight_and_bias(self.scaling[name], name) for name in self.labels}
            object.__setattr__(self, "scaling", scaling)

    @classmethod
    def fixed(
        cls,
        labels: LabelSet,
        threshold: float | Mapping[str, float] = DEFAULT,
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Makes a decision with given thresholds: one for all labels, or by label."""
        own = isinstance(threshold, Mapping)
        return cls(labels, threshold_of_each(threshold, labels), per_label=own, notes=notes)

    def with_thresholds(self, threshold: float | Mapping[str, float]) -> Self:
        """Returns the decision with the same calibration and given thresholds."""
        given = self.fixed(self.labels, threshold)
        if not self.scaling:
            return given
        return dataclasses.replace(
            given,
            scaling=self.scaling,
            calibrate=self.calibrate,
            split=self.split,
            images=self.images,
        )

    def calibrated(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Returns calibrated logits ``(N, L)`` in float64."""
        values = np.asarray(logits, np.float64)
        if not self.scaling:
            return values
        weight, bias = np.array(list(self.scaling.values())).T
        # with weight 0 the probability is the same for every image, even for infinite logits
        with np.errstate(invalid="ignore"):
            scaled: NDArray[np.float64] = np.where(weight > 0, values * weight, 0.0) + bias
        return scaled

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Returns calibrated probabilities ``(N, L)``."""
        with np.errstate(over="ignore"):  # if exp overflows, the probability is 0
            found: NDArray[np.float64] = 1 / (1 + np.exp(-self.calibrated(logits)))
        return found

    @property
    def limits(self) -> NDArray[np.float64]:
        """The thresholds ``(L,)`` in the order of the labels."""
        return np.array(list(self.thresholds.values()), np.float64)

    def present(self, logits: ArrayLike) -> NDArray[np.bool_]:
        """Returns which labels are present, bool ``(N, L)``."""
        found: NDArray[np.bool_] = self.probabilities(logits) >= self.limits
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values, as stored in ``decisions.json``."""
        scaling = {name: {"weight": w, "bias": b} for name, (w, b) in self.scaling.items()}
        return {
            "format": FORMAT,
            "aim": self.aim or None,
            "per_label": self.per_label,
            "confidence": self.confidence,
            "chosen_on": {"split": self.split, "images": self.images} if self.split else None,
            "thresholds": dict(self.thresholds),
            "calibration": {"method": self.calibrate, "labels": scaling} if scaling else None,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, content: Any, labels: LabelSet) -> Self:
        """Reads the output of :meth:`to_dict`.

        Args:
            content: The values.
            labels: The labels of the model, in its order.

        Raises:
            InputError: If a value is missing, of the wrong type or out of range, or the labels
                differ.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"it is not of the format {FORMAT!r}")
        thresholds = _mapping(content.get("thresholds"), "thresholds")
        chosen = _mapping(content.get("chosen_on") or {}, "chosen_on")
        calibration = _mapping(content.get("calibration") or {}, "calibration")
        scaling: dict[str, tuple[float, float]] = {}
        for name, each in _mapping(calibration.get("labels", {}), "calibration.labels").items():
            each = _mapping(each, f"calibration of {shown(name)}")
            scaling[name] = _weight_and_bias((each.get("weight"), each.get("bias")), name)
        confidence = content.get("confidence")
        return cls(
            labels=labels,
            thresholds=thresholds,
            scaling=scaling,
            calibrate=line_of_text(calibration.get("method", "none"), "calibration.method"),
            aim=line_of_text(content.get("aim") or "", "aim"),
            per_label=truth_value(content.get("per_label"), "per_label"),
            confidence=None if confidence is None else finite_number(confidence, "confidence"),
            split=line_of_text(chosen.get("split", ""), "chosen_on.split"),
            images=whole_number(chosen.get("images", 0), "chosen_on.images", 0),
            notes=of_type(content.get("notes"), "notes", tuple[str, ...]),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a JSON file atomically.

        Raises:
            InputError: If it cannot be written.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str], labels: LabelSet) -> Self:
        """Reads a file written by :meth:`save`.

        Args:
            path: The file.
            labels: The labels of the model, in its order.

        Raises:
            InputError: If the file cannot be read, is damaged, or belongs to other labels.
        """
        content = read_json(path, "file of decisions")
        try:
            return cls.from_dict(content, labels)
        except InputError as error:
            raise InputError(
                f"{os.fspath(path)} is damaged, or of another model ({error}): choose thresholds "
                "again with gatlabel decide"
            ) from error


def decision_of(folder: str | os.PathLike[str], labels: LabelSet) -> Decision:
    """Reads the decision of a run folder; without one, thresholds are 0.5.

    Raises:
        InputError: As :meth:`Decision.load`.
    """
    path = Path(folder) / FILE
    return Decision.load(path, labels) if os.path.lexists(path) else Decision.fixed(labels)


def _weight_and_bias(pair: tuple[Any, Any], name: str) -> tuple[float, float]:
    weight = finite_number(pair[0], f"calibration of label {name!r}: weight", 0)
    return weight, finite_number(pair[1], f"calibration of label {name!r}: bias")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what}={shown(value)}: give values by name")
    return value
