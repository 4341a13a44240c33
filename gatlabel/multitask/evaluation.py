"""Metrics of a multi-task model on a split, and their relative change against other models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gatlabel.metrics import evaluate_scores
from gatlabel.model import Model
from gatlabel.multitask.building import split_loader
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.parts import Part
from gatlabel.nn.modes import evaluating
from gatlabel.tasks import Task
from gatlabel.tasks.task import all_absent

#: Metrics used for the relative change instead of the score; smaller is better.
ERRORS = {"regression": "RMSE"}


@dataclass(frozen=True)
class TaskResult:
    """Metrics of a model for one task on one split.

    Attributes:
        kind: The kind of the task.
        images: Number of images that are labelled for it.
        metrics: By name; NaN where one is undefined.
        main: Name of the metric used to compare models.
        per_output: Average precision of each label of a multi-label task.
    """

    kind: str
    images: int
    metrics: Mapping[str, float]
    main: str
    per_output: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The metric used to compare models."""
        return self.metrics[self.main]

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for JSON; ``None`` for NaN."""
        found: dict[str, Any] = {"kind": self.kind, "images": self.images, "main": self.main}
        found["metrics"] = {name: _number(value) for name, value in self.metrics.items()}
        if self.per_output:
            found["AP"] = {name: _number(value) for name, value in self.per_output.items()}
        return found

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> TaskResult:
        """Restores a result from the output of :meth:`to_dict`."""
        metrics = {name: _nan(value) for name, value in found["metrics"].items()}
        per_output = {name: _nan(value) for name, value in found.get("AP", {}).items()}
        return cls(found["kind"], found["images"], metrics, found["main"], per_output)


#: By split, by task.
Results = Mapping[str, Mapping[str, TaskResult]]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def evaluate_split(
    model: Model, config: MultiTaskConfig, parts: Sequence[Part], split: str
) -> dict[str, TaskResult]:
    """Evaluates a model on the images of a split, task by task.

    Args:
        model: The model, on its device.
        config: The options of the run.
        parts: The data sets.
        split: The split.

    Returns:
        Results of the tasks with a labelled image.
    """
    outputs, targets = predict_split(model, config, parts, split)
    found = {}
    for name, task in model.tasks.items():
        rows = ~all_absent(task, targets[name])
        if bool(rows.any()):
            found[name] = _result(task, outputs[name][rows], targets[name][rows])
    return found


@torch.inference_mode()
def predict_split(
    model: Model, config: MultiTaskConfig, parts: Sequence[Part], split: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns outputs and targets of all images of a split by task, on the CPU."""
    device = next(model.parameters()).device
    outputs: dict[str, list[Tensor]] = {name: [] for name in model.tasks}
    targets: dict[str, list[Tensor]] = {name: [] for name in model.tasks}
    with evaluating(model):
        for batch in split_loader(config, parts, split, model):
            found = model.outputs(batch.to(device).inputs)
            for name in model.tasks:
                outputs[name].append(found[name].float().cpu())
                targets[name].append(batch.targets[name])
    return (
        {name: torch.cat(own) for name, own in outputs.items()},
        {name: torch.cat(own) for name, own in targets.items()},
    )


def _result(task: Task, outputs: Tensor, targets: Tensor) -> TaskResult:
    main = ERRORS.get(task.kind, task.score_name)
    per_output: dict[str, float] = {}
    if task.kind == "multilabel":
        ap = evaluate_scores(outputs, targets, tuple(task.outputs)).ap
        per_output = dict(zip(task.outputs, ap.tolist(), strict=True))
    return TaskResult(task.kind, len(outputs), task.metrics(outputs, targets), main, per_output)


def splits_of(parts: Sequence[Part]) -> list[str]:
    """Returns the names of the splits, except training, with images in any data set."""
    found = [name for part in parts for name, source in part.splits.items() if len(source)]
    return [name for name in ("val", "test") if name in found]


def final_results(results: Results) -> dict[str, tuple[str, TaskResult]]:
    """Returns the result of each task on its last split, test if it has one, with the split."""
    return {task: (split, its) for split, own in results.items() for task, its in own.items()}


def relative_change(result: TaskResult, other: TaskResult) -> float:
    r"""Returns how much better a result is than another, in per cent of the other.

    .. math:: \Delta = \pm 100 \, (m - m') / m'

    with the sign that makes better positive (Maninis et al., CVPR 2019,
    arXiv:1904.08918). NaN where one is undefined or the other is 0.
    """
    if not other.value:
        return math.nan
    sign = -1.0 if result.kind in ERRORS else 1.0
    return sign * 100 * (result.value - other.value) / abs(other.value)


def mean_change(results: Results, others: Results) -> float:
    """Returns delta-m: the mean of :func:`relative_change` over tasks, each on its last split."""
    theirs = final_results(others)
    found = [
        relative_change(own, theirs[name][1])
        for name, (split, own) in final_results(results).items()
        if name in theirs and theirs[name][0] == split
    ]
    found = [value for value in found if not math.isnan(value)]
    return sum(found) / len(found) if found else math.nan
