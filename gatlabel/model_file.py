"""``model.json``: the description of a saved model, read as untrusted data.

Anyone can create a folder of weights. Nothing in it may refer to another file, start a download or
create an object larger than its weights. The type and range of every value are therefore checked
here, and no value is passed to a function that reads files.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatlabel.encoders.description import EncoderDescription
from gatlabel.encoders.sizes import MOST_PIXELS, RESIZES
from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import read_json
from gatlabel.labels import LabelSet, first_difference, labels_of
from gatlabel.nn import HEADS
from gatlabel.nn.old_names import current_options
from gatlabel.nn.pooling import POOLINGS
from gatlabel.saving import require_file
from gatlabel.values import finite_number, line_of_text, shown, truth_value, whole_number

FORMAT = "gatlabel-model-1"
FILE = "model.json"
MOST = 2**16  # limit of widths, and of the numbers of heads and layers
USUAL_WIDTH = 2**12  # smaller widths need not occur in the weights
MOST_STEPS = 1000  # limit of a head's iterations, a Python loop
#: Annotations that a JSON value can have.
_KINDS = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}


@dataclass(frozen=True)
class ModelDescription:
    """The contents of ``model.json``.

    Attributes:
        labels: The L label names, in the order of the logits.
        encoder: The description of the encoder, without weights.
        head: Name of the head in :data:`gatlabel.nn.HEADS`.
        in_features: Feature width D of the head.
        head_options: Its other options, as JSON values.
        vectors: Width and trainability of the label vectors, which are in the weights; ``None`` for
            a head without.
        pooling: Name of the pooling.
        resize: How whole images are resized.
        image_size: Side of the images in pixels.
    """

    labels: LabelSet
    encoder: EncoderDescription
    head: str
    in_features: int
    head_options: dict[str, Any]
    vectors: tuple[int, bool] | None
    pooling: str
    resize: str
    image_size: int


def read_model_file(folder: Path) -> ModelDescription:
    """Reads ``model.json`` of a folder.

    Raises:
        InputError: If it is missing, has another format, or a value is invalid; the message names
            file and value.
    """
    path = folder / FILE
    require_file(path, "model description")
    config = read_json(path, "model description")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(
            f"{path} is not of the format {FORMAT!r}: it was written by another program or by a "
            "newer gatlabel"
        )
    try:
        return _description(config)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _description(config: Mapping[str, Any]) -> ModelDescription:
    head = current_options(_table(config, "head"))
    kind = _choice(head.pop("kind", None), "head", HEADS)
    width = whole_number(head.pop("in_features", None), "head.in_features", 1, MOST)
    vectors = _vectors(head.pop("node_features", None))
    return ModelDescription(
        labels_of(config.get("labels")),
        EncoderDescription.from_dict(_table(config, "encoder")),
        kind,
        width,
        _head_options(kind, head),
        vectors,
        _choice(config.get("pooling"), "pooling", POOLINGS),
        _choice(config.get("resize"), "resize", RESIZES),
        whole_number(config.get("image_size"), "image_size", 1, MOST_PIXELS),
    )


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name)
    if not isinstance(value, dict):
        raise InputError(f"{name}={shown(value)}: give a table of options")
    return value


def _choice(value: Any, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    text = line_of_text(value, name)
    if text not in known:
        raise unknown_choice(name, text, known)
    return text


def _vectors(value: Any) -> tuple[int, bool] | None:
    """Reads the description of label vectors; names and paths are refused."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"width", "trainable"}:
        raise InputError(
            f"head.node_features={shown(value)}: label vectors are in the weights; only their "
            "width and whether they are trainable may be given"
        )
    return (
        whole_number(value["width"], "head.node_features.width", 1, MOST),
        truth_value(value["trainable"], "head.node_features.trainable"),
    )


def _head_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checks options against the annotations of the head's constructor."""
    parameters = inspect.signature(HEADS[kind]).parameters
    found = {}
    for name, value in options.items():
        if name not in parameters or name in ("in_features", "labels", "graph", "node_features"):
            raise unknown_choice(f"option of the head {kind!r}", name, parameters)
        found[name] = _option(f"head.{name}", value, str(parameters[name].annotation))
    return found


def _option(name: str, value: Any, annotation: str) -> Any:
    """Checks a JSON value against an annotation as written in the source."""
    kinds = [_KINDS.get(part.strip()) for part in annotation.split("|")]
    if value is None and type(None) in kinds:
        return None
    if bool in kinds:
        return truth_value(value, name)
    if int in kinds and float not in kinds:
        return whole_number(value, name, 0, MOST_STEPS if name == "head.steps" else MOST)
    if float in kinds:
        return finite_number(value, name, -MOST, MOST)
    if isinstance(value, str):
        return line_of_text(value, name)
    return primitive(name, value)


def primitive(name: str, value: Any) -> Any:
    """Checks a value that may be a list or table of numbers, texts and booleans.

    Raises:
        InputError: If a number is too large or not finite, or it is nested more deeply than a table
            of lists.
    """
    return _primitive(name, value, depth=3)


def _primitive(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return line_of_text(value, name)
    if isinstance(value, int):
        return whole_number(value, name, -MOST, MOST)
    if isinstance(value, float):
        return finite_number(value, name, -MOST, MOST)
    if depth == 0:
        raise InputError(f"{name}={shown(value)}: is nested too deeply")
    if isinstance(value, list):
        return [_primitive(name, item, depth - 1) for item in value]
    return {
        line_of_text(key, name): _primitive(f"{name}.{key}", item, depth - 1)
        for key, item in value.items()
    }


def check_sizes(described: ModelDescription, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses sizes that the weights cannot have, before memory is allocated.

    Args:
        described: The contents of ``model.json``.
        shapes: The shapes of the saved tensors by name.

    Raises:
        InputError: If a size is impossible; the message names the value.
    """
    widest = max([USUAL_WIDTH, *(size for shape in shapes.values() for size in shape)])
    sizes = {f"head.{name}": value for name, value in described.head_options.items()}
    if described.vectors is not None:
        sizes["head.node_features.width"] = described.vectors[0]
    for name, value in _whole_numbers(sizes):
        most = max(len(shapes), 1) if name.endswith("layers") else widest
        if value > most:
            raise InputError(f"{name}={value}: no weights have that size")


def _whole_numbers(options: Mapping[str, Any]) -> list[tuple[str, int]]:
    found = []
    for name, value in options.items():
        inner = value if isinstance(value, dict) else {}
        items = value if isinstance(value, list) else [value]
        found += [(name, v) for v in items if isinstance(v, int) and not isinstance(v, bool)]
        found += _whole_numbers({f"{name}.{key}": item for key, item in inner.items()})
    return found


def check_companions(folder: Path, labels: LabelSet) -> None:
    """Checks that the other files of a run folder have the model's labels, in its order.

    Raises:
        InputError: If ``labels.json`` or ``counts.json`` exists with other labels, so that files of
            two runs are mixed. The message names both files.
    """
    for file, what in (("labels.json", "label file"), ("counts.json", "co-occurrence file")):
        path = folder / file
        if not os.path.lexists(path):
            continue
        require_file(path, what)
        content = read_json(path, what)
        names = content.get("names") if isinstance(content, dict) else content
        try:
            others = labels_of(names)
        except InputError as error:
            raise InputError(f"{path} is damaged: {error}") from error
        if others != labels:
            refuse_other_labels(others, labels, str(path), str(folder / FILE))


def refuse_other_labels(theirs: LabelSet, ours: LabelSet, other: str, own: str) -> None:
    """Raises the error for labels of one file or part that differ from those of another.

    Args:
        theirs: The labels of ``other``.
        ours: The expected labels.
        other: Owner of ``theirs``, for the message.
        own: Owner of ``ours``, for the message.

    Raises:
        InputError: Always; the message names the first difference.
    """
    raise InputError(
        f"{other} has other labels than {own}: {first_difference(theirs.names, ours.names)}"
    )
