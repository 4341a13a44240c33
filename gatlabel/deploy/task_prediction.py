"""The predictions of all tasks for one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from gatlabel.tasks import Task

#: The prediction of a task: ``labels`` and ``probabilities``; ``class`` and ``probabilities``;
#: ``values``; or ``sequence``, its log-probability ``score`` and ``probabilities`` to occur.
Answer = Mapping[str, Any]
#: Fields of a prediction, which cannot be names of tasks.
FIELDS = ("source", "error")


@dataclass(frozen=True)
class TaskPrediction:
    """The prediction of a model with several tasks for one image, or an error.

    Attributes:
        source: The image: its path as given, or ``"image 3"`` for an image without a name.
        answers: The prediction of each task, as primitive values.
        error: Why the image could not be read, or ``None``.
    """

    source: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the image could be read."""
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for JSON: ``source``, and a field per task or ``error``."""
        if self.error is not None:
            return {"source": self.source, "error": self.error}
        return {"source": self.source, **{name: dict(its) for name, its in self.answers.items()}}

    def texts(self) -> dict[str, str]:
        """Returns a short text for each task, for a cell of a table."""
        return {name: short(answer) for name, answer in self.answers.items()}


def short(answer: Answer) -> str:
    """Returns a prediction as a short text: labels joined by ``|``, a class, or numbers."""
    if "class" in answer:
        return str(answer["class"])
    if "values" in answer:
        return "|".join(f"{value:.6g}" for value in answer["values"].values())
    return "|".join(answer["labels"] if "labels" in answer else answer["sequence"])


def answers_of(task: Task, outputs: Tensor) -> list[Answer]:
    """Converts the outputs of a head to predictions, one per image."""
    return _ANSWERS[task.kind](task, outputs)


def _labels(task: Any, outputs: Tensor) -> list[Answer]:
    probabilities, decided = task.activation(outputs).tolist(), task.decide(outputs).tolist()
    found: list[Answer] = []
    for row, present in zip(probabilities, decided, strict=True):
        order = sorted(range(len(row)), key=lambda k: -row[k])
        names = [task.outputs[k] for k in order if present[k]]
        found.append({"labels": names, "probabilities": dict(zip(task.outputs, row, strict=True))})
    return found


def _class(task: Any, outputs: Tensor) -> list[Answer]:
    probabilities, decided = task.activation(outputs).tolist(), task.decide(outputs).tolist()
    return [
        {"class": task.outputs[k], "probabilities": dict(zip(task.outputs, row, strict=True))}
        for k, row in zip(decided, probabilities, strict=True)
    ]


def _values(task: Any, outputs: Tensor) -> list[Answer]:
    return [
        {"values": dict(zip(task.outputs, row, strict=True))}
        for row in task.decide(outputs).tolist()
    ]


def _sequence(task: Any, outputs: Tensor) -> list[Answer]:
    decided, scores = task.decide(outputs), task.scores(outputs).tolist()
    found: list[Answer] = []
    for row, score, each in zip(decided, scores, task.occurrence(outputs).tolist(), strict=True):
        probabilities = dict(zip(task.outputs, each, strict=True))
        found.append({"sequence": task.names(row), "score": score, "probabilities": probabilities})
    return found


_ANSWERS: dict[str, Callable[[Any, Tensor], list[Answer]]] = {
    "multilabel": _labels,
    "multiclass": _class,
    "regression": _values,
    "sequence": _sequence,
}
