"""The decisions of several tasks in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gatlabel.decisions.classes import ClassDecision
from gatlabel.decisions.decision import FILE, Decision
from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.labels import LabelSet

FORMAT = "gatlabel-task-decisions-1"
#: By task. A multi-class task has a decision only if it is calibrated.
Decisions = Mapping[str, Decision | ClassDecision]


def save_decisions(folder: Path, decisions: Decisions) -> None:
    """Writes ``decisions.json`` with the decision of each task.

    Raises:
        InputError: If it cannot be written.
    """
    tasks = {name: decision.to_dict() for name, decision in decisions.items()}
    write_json(folder / FILE, {"format": FORMAT, "tasks": tasks})


def decisions_of(
    folder: Path, labels: Mapping[str, LabelSet], classes: Mapping[str, LabelSet]
) -> Decisions:
    """Reads the decisions of a run folder; without them, thresholds are 0.5.

    Args:
        folder: The run folder.
        labels: By multi-label task, the labels of the model.
        classes: By multi-class task, its classes.

    Raises:
        InputError: If the file is damaged, or of other tasks or labels.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return {name: Decision.fixed(own) for name, own in labels.items()}
    content = read_json(path, "file of decisions")
    try:
        return of_dict(content, labels, classes)
    except InputError as error:
        raise InputError(
            f"{path} is damaged, or of another model ({error}): choose thresholds again with "
            "gatlabel decide"
        ) from error


def of_dict(
    content: object, labels: Mapping[str, LabelSet], classes: Mapping[str, LabelSet]
) -> Decisions:
    """Reads the content of such a file; arguments and errors as :func:`decisions_of`."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"it is not of the format {FORMAT!r}")
    tasks = content.get("tasks")
    if not isinstance(tasks, dict) or not set(labels) <= set(tasks) <= {*labels, *classes}:
        raise InputError(f"it needs decisions of {', '.join(labels) or 'no task'}")
    found: dict[str, Decision | ClassDecision] = {
        name: Decision.from_dict(tasks[name], own) for name, own in labels.items()
    }
    for name, own in classes.items():
        if name in tasks:
            found[name] = ClassDecision.from_dict(tasks[name], own)
    return found
