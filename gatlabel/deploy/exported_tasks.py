"""A bundle with several tasks, which runs without the code of the original network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatlabel.decisions.classes import FORMAT as CLASS_DECISIONS
from gatlabel.decisions.classes import ClassDecision
from gatlabel.decisions.decision import FORMAT as DECISIONS
from gatlabel.decisions.decision import Decision
from gatlabel.deploy.description import FILE, TASKS_FORMAT, preprocessing_of, sha256
from gatlabel.deploy.formats import find_format
from gatlabel.errors import InputError, first_line
from gatlabel.files import read_json
from gatlabel.labels import labels_of
from gatlabel.values import finite_number, line_of_text, shown, whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from gatlabel.tasks import Task


def is_tasks_bundle(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is a bundle with several tasks; its validity is checked on loading."""
    path = Path(folder) / FILE
    if not path.is_file():
        return False
    try:
        content = read_json(path, "bundle description")
    except InputError:
        return False
    return isinstance(content, dict) and content.get("format") == TASKS_FORMAT


class ExportedTasks:
    """A model from a bundle of :func:`~gatlabel.deploy.export_tasks`: from images to task outputs.

    Args:
        folder: The bundle.

    Attributes:
        tasks: The tasks by name, with their decisions; their heads are in the file.
        preprocessing: Preprocessing of images in evaluation.
        batch: Number of images in a batch if it is fixed.

    Raises:
        InputError: If a file is missing, damaged or changed.
        MissingExtraError: If the extra ``onnx`` is needed and not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder) / FILE
        content = read_json(path, "bundle description")
        try:
            self.tasks = {task.name: task for task in map(_task, _entries(content))}
            self.preprocessing = preprocessing_of(content)
            batch = content.get("batch")
            self.batch = None if batch is None else whole_number(batch, "batch", 1)
            form = find_format(line_of_text(content["model"]["kind"], "model.kind"))
            digest = content["model"]["sha256"]
        except (InputError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}): export the model again") from error
        file = Path(folder) / form.file
        if not file.is_file() or sha256(file) != digest:
            raise InputError(f"{file} is not the file that {path.name} describes: export it again")
        self._run, texts = form.open(file, "cpu", list(self.tasks))
        if json.loads(texts.get("tasks", "null")) is None:
            raise InputError(f"{file} does not say what it takes and gives: export it again")

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.preprocessing.size

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the outputs of each task for uint8 images ``(B, 3, S, S)``.

        Raises:
            InputError: If the file cannot run.
        """
        import torch

        given = np.ascontiguousarray(images.numpy())
        size = self.batch or max(len(given), 1)
        parts = []
        try:
            for start in range(0, len(given), size):
                part = given[start : start + size]
                blank = np.zeros(
                    ((self.batch or 0) and size - len(part), *part.shape[1:]), np.uint8
                )
                found = self._run(np.concatenate([part, blank]))
                parts.append([value[: len(part)] for value in found])
        except Exception as error:  # the error type depends on the library
            raise InputError(f"the exported model fails: {first_line(error)}") from error
        columns = zip(*parts, strict=True)
        return {
            name: torch.from_numpy(np.concatenate(own))
            for name, own in zip(self.tasks, columns, strict=True)
        }


def _entries(content: Any) -> list[Mapping[str, Any]]:
    entries = content.get("tasks")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"tasks={shown(entries)}: give a list of tables")
    return entries


def _task(entry: Mapping[str, Any]) -> Task:
    """Makes a task with a placeholder head for the outputs of the file."""
    from torch import nn

    from gatlabel.tasks import TASKS

    kind, name = (line_of_text(entry.get(key), f"tasks.{key}") for key in ("kind", "name"))
    if kind not in _OPTIONS:
        raise InputError(f"tasks.kind={shown(kind)}: expected {', '.join(_OPTIONS)}")
    names = labels_of(entry.get("outputs"))
    return TASKS[kind](name, names, nn.Identity(), **_OPTIONS[kind](entry, names))


def _decided(entry: Mapping[str, Any], names: Any) -> dict[str, Any]:
    decision = entry.get("decision")
    if not isinstance(decision, dict):
        raise InputError(f"decision={shown(decision)}: give values by name")
    return {"decision": Decision.from_dict({"format": DECISIONS, **decision}, names)}


def _calibrated(entry: Mapping[str, Any], names: Any) -> dict[str, Any]:
    decision = entry.get("decision")
    if decision is None:
        return {}
    if not isinstance(decision, dict):
        raise InputError(f"decision={shown(decision)}: give values by name")
    return {"decision": ClassDecision.from_dict({"format": CLASS_DECISIONS, **decision}, names)}


def _scaled(entry: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {
        key: [finite_number(value, key) for value in entry.get(key) or ()]
        for key in ("scale", "offset")
    }


def _positioned(entry: Mapping[str, Any], names: Any) -> dict[str, Any]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or len(shape) != 3:
        raise InputError(f"shape={shown(shape)}: give three numbers")
    return {"length": whole_number(shape[1], "shape", 1)}


_OPTIONS: dict[str, Callable[[Mapping[str, Any], Any], dict[str, Any]]] = {
    "multilabel": _decided,
    "multiclass": _calibrated,
    "regression": _scaled,
    "sequence": _positioned,
}
