"""``bundle.json``: the description of an exported model, sufficient to use it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gatlabel.decisions.decision import FORMAT as DECISIONS
from gatlabel.decisions.decision import Decision
from gatlabel.encoders.preprocessing import Preprocessing
from gatlabel.encoders.sizes import MOST_PIXELS
from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import read_json, write_json
from gatlabel.labels import LabelSet, first_difference, labels_of
from gatlabel.values import line_of_text, shown, three_numbers, truth_value, whole_number

FORMAT = "gatlabel-bundle-1"
TASKS_FORMAT = "gatlabel-tasks-bundle-1"
FILE = "bundle.json"
INPUT = "images"
OUTPUT = "logits"
PRECISIONS = ("float32", "float16", "int8-static", "int8-dynamic")
MOST_IN_A_BATCH = 2**16


@dataclass(frozen=True)
class Description:
    """The inputs and outputs of an exported model.

    Attributes:
        labels: The L label names, in the order of the logits.
        decision: Threshold and calibration of each label.
        preprocessing: Preprocessing of images. The exported model takes images of this size only,
            and normalises them itself.
        encoder: Name of the encoder.
        head: Kind of the head that was trained.
        folded: Whether the exported head is one linear layer.
        batch: Number of images in a batch if it is fixed; ``None``: any number.
        any_size: Whether the model also resizes: it takes images of any size, as long as all
            images of a batch have the same size.
        precision: A name of :data:`PRECISIONS`: the data type of weights and arithmetic.
    """

    labels: LabelSet
    decision: Decision
    preprocessing: Preprocessing
    encoder: str
    head: str
    folded: bool
    batch: int | None = None
    any_size: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.batch is not None:
            whole_number(self.batch, "batch", 1, MOST_IN_A_BATCH)
        if self.precision not in PRECISIONS:
            raise unknown_choice("precision", self.precision, PRECISIONS)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The only output: logits."""
        return (OUTPUT,)

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Label -> threshold of its probability, 0 to 1."""
        return self.decision.thresholds

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values, stored in both ``bundle.json`` and the model file."""
        decision = self.decision.to_dict()
        pixels = {"colours": "RGB", "values": "0 to 255", "layout": "batch, colour, row, column"}
        size = self.preprocessing.size
        batch = "batch" if self.batch is None else self.batch
        sides = ["height", "width"] if self.any_size else [size, size]
        return {
            "format": FORMAT,
            "labels": list(self.labels),
            "thresholds": decision.pop("thresholds"),
            "calibration": decision.pop("calibration"),
            "decision": {name: value for name, value in decision.items() if name != "format"},
            "input": {"name": INPUT, "dtype": "uint8", "shape": [batch, 3, *sides], **pixels},
            "output": {
                "name": OUTPUT,
                "dtype": "float32",
                "shape": [batch, len(self.labels)],
                "probability": _probability(self.decision),
            },
            "image_size": size,
            "resize": self.preprocessing.resize,
            "normalisation": {
                "where": "inside the model: pass uint8 pixels",
                "formula": "(pixel / 255 - mean) / std",
                "mean": list(self.preprocessing.mean),
                "std": list(self.preprocessing.std),
            },
            "encoder": self.encoder,
            "head": self.head,
            "folded": self.folded,
            "batch": self.batch,
            "any_size": self.any_size,
            "precision": self.precision,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], path: Path) -> Self:
        """Reads the output of :meth:`to_dict`.

        Args:
            content: The values.
            path: Their file, for errors.

        Raises:
            InputError: If a value is missing, of the wrong type or out of range.
        """
        try:
            return cls._checked(content)
        except InputError as error:
            raise InputError(f"{path} is damaged ({error}): export the model again") from error

    @classmethod
    def _checked(cls, content: Mapping[str, Any]) -> Self:
        labels = labels_of(content.get("labels"))
        found = cls(
            labels,
            _decision(content, labels),
            preprocessing_of(content),
            line_of_text(content.get("encoder"), "encoder"),
            line_of_text(content.get("head"), "head"),
            truth_value(content.get("folded"), "folded"),
            content.get("batch"),  # early bundles lack these three
            truth_value(content.get("any_size", False), "any_size"),
            line_of_text(content.get("precision", "float32"), "precision"),
        )
        for name, expected in found.to_dict().items():
            if name in ("input", "output") and content.get(name) != expected:
                raise InputError(f"{name} does not match its labels and image_size")
        return found

    def _values(self) -> dict[str, Any]:
        """The values that both files of a bundle must share, by their names in the files."""
        fed = self.preprocessing
        values = {"image_size": fed.size, "resize": fed.resize, "mean": fed.mean, "std": fed.std}
        values |= {"encoder": self.encoder, "head": self.head, "folded": self.folded}
        return {
            **values,
            "batch": self.batch,
            "any_size": self.any_size,
            "precision": self.precision,
        }

    def require_same(self, other: Description, own: Path, theirs: Path) -> None:
        """Checks that two files of a bundle agree; thresholds may have been edited.

        Args:
            other: The description in the model file.
            own: The file that this description was read from.
            theirs: The model file.

        Raises:
            InputError: If they differ; the message names both files and the first difference.
        """
        again = "they belong to different bundles, or one was edited; export the model again"
        if self.labels != other.labels:
            reason = first_difference(other.labels.names, self.labels.names)
            raise InputError(f"{theirs} has other labels than {own}: {reason}; {again}")
        of_other = other._values()
        for name, ours in self._values().items():
            its = of_other[name]
            if ours != its:
                raise InputError(
                    f"{own} has {name}={shown(ours)}, but {theirs} has {shown(its)}: {again}"
                )


def preprocessing_of(content: Mapping[str, Any]) -> Preprocessing:
    """Reads the preprocessing from the description of a bundle.

    Raises:
        InputError: If a value is missing, of the wrong type or out of range.
    """
    normalisation = content.get("normalisation")
    if not isinstance(normalisation, dict):
        raise InputError(f"normalisation={shown(normalisation)}: give mean and std")
    return Preprocessing(
        whole_number(content.get("image_size"), "image_size", 1, MOST_PIXELS),
        line_of_text(content.get("resize"), "resize"),
        three_numbers(normalisation.get("mean"), "mean"),
        three_numbers(normalisation.get("std"), "std", above_zero=True),
    )


def _decision(content: Mapping[str, Any], labels: LabelSet) -> Decision:
    """Reads thresholds, calibration and their aim; old bundles have thresholds only."""
    thresholds, about = content.get("thresholds"), content.get("decision")
    if not isinstance(thresholds, dict):
        raise InputError("thresholds has no value for each label by name")
    if about is None:
        return Decision.fixed(labels, thresholds)
    if not isinstance(about, dict):
        raise InputError(f"decision={shown(about)}: give values by name")
    whole = {"format": DECISIONS, "thresholds": thresholds} | about
    return Decision.from_dict(whole | {"calibration": content.get("calibration")}, labels)


def _probability(decision: Decision) -> str:
    """Describes how to convert logits to probabilities, for use without this package."""
    if not decision.scaling:
        return "sigmoid, label by label"
    return "sigmoid of weight * logit + bias, label by label, as in calibration"


class Described(Protocol):
    """What is known of a program that is written."""

    @property
    def batch(self) -> int | None:
        """Images in a batch, where their number is fixed."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the outputs."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of images."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""


#: From uint8 images ``(B, 3, S, S)`` to an array per output, and the texts inside the file.
Opened = tuple[Callable[[NDArray[np.uint8]], list[NDArray[np.floating]]], Mapping[str, str]]


@dataclass(frozen=True)
class Loaded:
    """A model file that was opened.

    Attributes:
        run: From uint8 images ``(B, 3, S, S)`` to logits ``(B, L)``.
        description: The description inside the file.
    """

    run: Callable[[NDArray[np.uint8]], NDArray[np.floating]]
    description: Description


def description_inside(texts: Mapping[str, str], path: Path) -> Description:
    """Reads the description inside a model file, each value of it as JSON.

    Raises:
        InputError: If the file contains something else.
    """
    try:
        content = {key: json.loads(text) for key, text in texts.items()}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} contains no valid description: export it again") from error
    if content.get("format") != FORMAT:
        raise InputError(f"{path} is not a model of the format {FORMAT!r}: export the model again")
    return Description.from_dict(content, path)


@dataclass(frozen=True)
class Parity:
    """Agreement of an exported model with the original.

    Attributes:
        greatest_difference: Largest absolute difference of a logit.
        greatest_logit: Largest absolute logit among those compared.
        tolerance: The allowed difference, as a share of ``max(1, greatest_logit)``.
        batch_sizes: The batch sizes that were compared.
    """

    greatest_difference: float
    greatest_logit: float
    tolerance: float
    batch_sizes: tuple[int, ...]

    @property
    def ok(self) -> bool:
        """Whether the difference is within the tolerance; false for NaN."""
        allowed = self.tolerance * max(1.0, self.greatest_logit)
        return math.isfinite(self.greatest_logit) and self.greatest_difference <= allowed


def write_description(
    folder: Path,
    kind: str,
    file: str,
    description: Description,
    parity: Parity,
    versions: Mapping[str, str],
    measured: Mapping[str, Any],
) -> None:
    """Writes ``bundle.json`` next to the model file, which must exist already.

    Args:
        folder: The bundle.
        kind: The format's name.
        file: Name of the model file.
        description: The inputs and outputs of the model.
        parity: Agreement with the original.
        versions: Versions of the libraries that wrote it.
        measured: Further measurements by name.
    """
    path = folder / file
    compared = "the model before folding, in PyTorch, on the CPU"
    model = {"kind": kind, "file": file, "bytes": path.stat().st_size, "sha256": sha256(path)}
    content = {
        **description.to_dict(),
        "model": model,
        "parity": {**asdict(parity), "compared_with": compared},
        "versions": dict(versions),
        **measured,
    }
    write_json(folder / FILE, content)


def read_description(folder: Path) -> tuple[Description, str, Path, dict[str, str]]:
    """Reads ``bundle.json``, and checks the hash of the model file.

    Returns:
        The description, the format's name, the path of the model file, and the versions of the
        libraries that wrote it.

    Raises:
        InputError: If a file is missing or damaged, or the bundle is of another format.
    """
    path = folder / FILE
    content = read_json(path, "bundle description")
    if isinstance(content, dict) and content.get("format") == TASKS_FORMAT:
        raise InputError(
            f"{folder} is an exported model with several tasks, which only predicts: give the run "
            "that it is of"
        )
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{path} is not of the format {FORMAT!r}: it was written by another program or another "
            "version of gatlabel; export the model again"
        )
    description = Description.from_dict(content, path)
    try:
        kind, name, digest, versions = _model_entry(content)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}): export the model again") from error
    file = folder / name
    # a plain name inside the folder, not a link to elsewhere
    inside = Path(name).name == name and os.path.realpath(file) == str(
        Path(os.path.realpath(folder)) / name
    )
    # Path.is_file raises if a name is too long
    if not inside or not os.path.isfile(file):  # noqa: PTH113
        raise InputError(f"the bundle {folder} lacks its model file {shown(name)}: export it again")
    if sha256(file) != digest:
        raise InputError(
            f"{file} is not the file that {path.name} describes: it is damaged or was edited; "
            "export the model again"
        )
    return description, kind, file, versions


def _model_entry(content: Mapping[str, Any]) -> tuple[str, str, str, dict[str, str]]:
    """Reads format, name and hash of the model file, and the versions that wrote it."""
    model, versions = content.get("model"), content.get("versions")
    if not isinstance(model, dict) or not isinstance(versions, dict):
        raise InputError("it names no model file, or no versions")
    kind, name, digest = (
        line_of_text(model.get(key), f"model.{key}") for key in ("kind", "file", "sha256")
    )
    return (
        kind,
        name,
        digest,
        {shown(k).strip("'"): shown(v).strip("'") for k, v in versions.items()},
    )


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
