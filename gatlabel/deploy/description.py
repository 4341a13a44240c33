"""``bundle.json``: all that one must know to use an exported model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

from gatlabel.data.transforms import Resize
from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import read_json, write_json
from gatlabel.labels import LabelSet

FORMAT = "gatlabel-bundle-1"
FILE = "bundle.json"
INPUT = "pictures"
OUTPUT = "logits"


@dataclass(frozen=True)
class Description:
    """What an exported model takes and gives.

    Attributes:
        labels: The L label names, in the order of the logits.
        thresholds: Label -> probability from which it counts as present, 0 to 1.
        image_size: Side S of the pictures in pixels; the exported model takes no other.
        resize: How whole pictures are brought to that size: ``squash``, ``pad`` or ``crop``.
        mean: Of each RGB channel, pixels scaled to 0..1, as the graph normalises.
        std: The same for the standard deviation.
        encoder: Name of the encoder.
        head: Kind of the head that was trained.
        folded: Whether the exported head is one linear layer; a linear head is, as it stands.
    """

    labels: LabelSet
    thresholds: Mapping[str, float]
    image_size: int
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    encoder: str
    head: str
    folded: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; what ``bundle.json`` and the model file itself both carry."""
        pixels = {"colours": "RGB", "values": "0 to 255", "layout": "batch, colour, row, column"}
        size = self.image_size
        return {
            "format": FORMAT,
            "labels": list(self.labels),
            "thresholds": dict(self.thresholds),
            "input": {"name": INPUT, "dtype": "uint8", "shape": ["batch", 3, size, size], **pixels},
            "output": {
                "name": OUTPUT,
                "dtype": "float32",
                "shape": ["batch", len(self.labels)],
                "probability": "sigmoid, label by label",
            },
            "image_size": size,
            "resize": self.resize,
            "normalisation": {
                "where": "inside the model: give it bytes",
                "formula": "(pixel / 255 - mean) / std",
                "mean": list(self.mean),
                "std": list(self.std),
            },
            "encoder": self.encoder,
            "head": self.head,
            "folded": self.folded,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], path: Path) -> Self:
        """Reads what :meth:`to_dict` gives.

        Args:
            content: The values.
            path: Their file, for errors.

        Raises:
            InputError: If a value is missing, or is not what it should be.
        """
        try:
            labels = LabelSet(content["labels"])
            if not isinstance(content["thresholds"], dict):
                raise ValueError("thresholds has no value for each label by name")
            labels.require_same_names(content["thresholds"], "the thresholds")
            thresholds = {name: float(content["thresholds"][name]) for name in labels}
            if not all(0 <= value <= 1 for value in thresholds.values()):
                raise ValueError("a threshold is not between 0 and 1")
            if content["resize"] not in get_args(Resize):
                raise unknown_choice("resize", str(content["resize"]), get_args(Resize))
            size = content["image_size"]
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"image_size is {size!r}")
            normalisation = content["normalisation"]
            return cls(
                labels,
                thresholds,
                size,
                content["resize"],
                tuple(float(value) for value in normalisation["mean"]),
                tuple(float(value) for value in normalisation["std"]),
                str(content["encoder"]),
                str(content["head"]),
                bool(content["folded"]),
            )
        except (KeyError, TypeError, ValueError) as error:  # InputError is a ValueError
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path} is damaged ({reason}): export the model again") from error


@dataclass(frozen=True)
class Parity:
    """How well an exported model agrees with the one it was made from.

    Attributes:
        greatest_difference: Of any logit, absolute.
        greatest_logit: The largest absolute logit among those compared.
        tolerance: The difference that was allowed, as a share of ``max(1, greatest_logit)``.
        batch_sizes: The batches that were compared.
    """

    greatest_difference: float
    greatest_logit: float
    tolerance: float
    batch_sizes: tuple[int, ...]

    @property
    def ok(self) -> bool:
        """Whether the difference is within the tolerance; not where it is NaN."""
        allowed = self.tolerance * max(1.0, self.greatest_logit)
        return math.isfinite(self.greatest_logit) and self.greatest_difference <= allowed


def write_description(
    folder: Path,
    kind: str,
    file: str,
    description: Description,
    parity: Parity,
    versions: Mapping[str, str],
) -> None:
    """Writes ``bundle.json`` beside the model file, which stands already."""
    path = folder / file
    compared = "the model before folding, in PyTorch, on the CPU"
    model = {"kind": kind, "file": file, "bytes": path.stat().st_size, "sha256": _sha256(path)}
    content = {
        **description.to_dict(),
        "model": model,
        "parity": {**asdict(parity), "compared_with": compared},
        "versions": dict(versions),
    }
    write_json(folder / FILE, content)


def read_description(folder: Path) -> tuple[Description, str, Path, dict[str, str]]:
    """Reads ``bundle.json``, and checks that the model file is the one that it describes.

    Returns:
        The description, the format's name, the path of the model file, and the versions of the
        libraries that wrote it.

    Raises:
        InputError: If a file is missing or damaged, or the bundle is of another format.
    """
    path = folder / FILE
    content = read_json(path, "bundle description")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{path} is not of the format {FORMAT!r}: it was written by another program or by "
            "another gatlabel; export the model again"
        )
    description = Description.from_dict(content, path)
    try:
        model = content["model"]
        kind, name, digest = str(model["kind"]), str(model["file"]), model["sha256"]
        versions = {str(key): str(value) for key, value in content["versions"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: export the model again") from error
    file = folder / name
    if Path(name).name != name or not file.is_file():  # a name, not a way out of the folder
        raise InputError(f"the bundle {folder} lacks its model file {name}: export it again")
    if _sha256(file) != digest:
        raise InputError(
            f"{file} is not the file that {path.name} describes: it is damaged or was changed; "
            "export the model again"
        )
    return description, kind, file, versions


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
