"""``model.json``: the description of a saved model, read as untrusted data.

A model folder may come from anyone. Nothing in it may refer to another file, start a download or
create an object larger than its weights. Therefore the type and range of every value are checked
here, and no value is passed to a function that opens files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatlabel.encoders.description import EncoderDescription
from gatlabel.encoders.sizes import MOST_PIXELS, RESIZES
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.labels import LabelSet, first_difference, labels_of
from gatlabel.model.formats import TASKS_FORMAT
from gatlabel.model.head_file import HeadDescription, choice, table
from gatlabel.nn.pooling import POOLINGS
from gatlabel.saving import require_file
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

FORMAT = "gatlabel-model-1"
FILE = "model.json"


@dataclass(frozen=True)
class ModelDescription:
    """The content of ``model.json``.

    Attributes:
        labels: The L label names, in the order of the logits.
        encoder: Description of the encoder, without weights.
        head: Description of the head, without weights.
        pooling: Name of the pooling.
        resize: How whole images are resized.
        image_size: Side of the images in pixels.
    """

    labels: LabelSet
    encoder: EncoderDescription
    head: HeadDescription
    pooling: str
    resize: str
    image_size: int


def read_model_file(folder: Path) -> ModelDescription:
    """Reads ``model.json`` of a folder.

    Raises:
        InputError: If it is missing or of another format, or a value is invalid; the message names
            file and value.
    """
    path = folder / FILE
    require_file(path, "model description")
    config = read_json(path, "model description")
    if isinstance(config, dict) and config.get("format") == TASKS_FORMAT:
        raise InputError(
            f"{path} is a model with several tasks, which is not supported here: load it with "
            "gatlabel.model.Model.from_pretrained, or use predict or evaluate"
        )
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
    return ModelDescription(
        labels_of(config.get("labels")),
        EncoderDescription.from_dict(table(config, "encoder")),
        HeadDescription.read(config),
        choice(config.get("pooling"), "pooling", POOLINGS),
        choice(config.get("resize"), "resize", RESIZES),
        whole_number(config.get("image_size"), "image_size", 1, MOST_PIXELS),
    )


def check_companions(folder: Path, labels: LabelSet) -> None:
    """Checks that the other files of a run folder have the labels of the model, in its order.

    Raises:
        InputError: If ``labels.json`` or ``counts.json`` has other labels, because files of two
            runs were mixed. The message names both files.
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
    """Refuses labels of one file or part that differ from those of another, or in order.

    Args:
        theirs: The labels of ``other``.
        ours: The expected labels.
        other: The owner of ``theirs``, for the message.
        own: The owner of ``ours``, for the message.

    Raises:
        InputError: Always; the message names the first difference.
    """
    raise InputError(
        f"{other} has other labels than {own}: {first_difference(theirs.names, ours.names)}"
    )


def read_graph(folder: Path, described: ModelDescription) -> LabelGraph | None:
    """Reads the label graph beside a model description; ``None`` for a head without one.

    Raises:
        InputError: If it is missing, damaged, or of other labels.
    """
    if not described.head.has_graph:
        return None
    from gatlabel.graph import LabelGraph

    path = folder / "graph.json"
    require_file(path, "label graph")
    graph = LabelGraph.load(path)
    if set(graph.names) != set(described.labels):
        refuse_other_labels(graph.labels, described.labels, str(path), str(folder / FILE))
    return graph.reorder(described.labels)


def require_finished(place: Path) -> None:
    """Refuses the folder of a run that was interrupted before it had a model.

    Raises:
        InputError: If it is such a folder; the message says how to go on.
    """
    description, options = place / "model.json", place / "config.yaml"
    runs = (options, place / ".new-run-ready", place / ".new-run-moving")
    if not os.path.exists(description) and any(os.path.exists(part) for part in runs):  # noqa: PTH110
        raise InputError(
            f"{place} has no model yet, its run is not finished: continue with gatlabel train "
            f"--resume {place}"
        )
