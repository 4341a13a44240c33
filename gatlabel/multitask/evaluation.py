"""Metrics of a multi-task model on a split, and their relative change against other models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gatlabel.decisions.temperature import choose_class_decision
from gatlabel.errors import InputError
from gatlabel.logs import Log
from gatlabel.model import Model
from gatlabel.multitask.building import split_loader
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.parts import Part
from gatlabel.nn.modes import evaluating
from gatlabel.tasks import MultiClassTask, MultiLabelTask, Task
from gatlabel.tasks.task import all_absent
from gatlabel.training.deciding import VALIDATION, choose

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
        protocol: How the metrics of a multi-label task are computed, in sentences.
    """

    kind: str
    images: int
    metrics: Mapping[str, float]
    main: str
    per_output: Mapping[str, float] = field(default_factory=dict)
    protocol: Sequence[str] = ()

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
        if self.protocol:
            found["protocol"] = list(self.protocol)
        return found

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> TaskResult:
        """Restores a result from the output of :meth:`to_dict`."""
        metrics = {name: _nan(value) for name, value in found["metrics"].items()}
        per_output = {name: _nan(value) for name, value in found.get("AP", {}).items()}
        protocol = tuple(found.get("protocol", ()))
        return cls(found["kind"], found["images"], metrics, found["main"], per_output, protocol)


#: By split, by task.
Results = Mapping[str, Mapping[str, TaskResult]]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Predicted:
    """What a model gives for the images of a split that are labelled for a task.

    Attributes:
        outputs: Of the head, ``(N, ...)`` on the CPU.
        targets: Of these images.
    """

    outputs: Tensor
    targets: Tensor


#: By split, by task; tasks without a labelled image in a split are left out.
Predictions = Mapping[str, Mapping[str, Predicted]]


def predict_splits(
    model: Model, config: MultiTaskConfig, parts: Sequence[Part], splits: Sequence[str]
) -> Predictions:
    """Runs a model over splits.

    Args:
        model: The model, on its device.
        config: The options of the run.
        parts: The data sets.
        splits: Names of splits.
    """
    found: dict[str, dict[str, Predicted]] = {}
    for split in splits:
        outputs, targets = predict_split(model, config, parts, split)
        found[split] = {}
        for name, task in model.tasks.items():
            rows = ~all_absent(task, targets[name])
            if bool(rows.any()):
                found[split][name] = Predicted(outputs[name][rows], targets[name][rows])
    return found


def results_of(model: Model, predictions: Predictions) -> Results:
    """Returns what a model reaches, by split and task."""
    return {
        split: {name: _result(model.tasks[name], each, split) for name, each in own.items()}
        for split, own in predictions.items()
    }


def choose_decisions(
    model: Model, config: MultiTaskConfig, predictions: Predictions, log: Log
) -> None:
    """Chooses the decisions of tasks on their validation images, and sets them.

    Those are the decisions of multi-label tasks, and the calibration of multi-class tasks whose
    options request one.

    Args:
        model: The model; the decisions of its tasks change.
        config: What each task chooses for.
        predictions: Of the split ``val``.
        log: Called with a line per task.
    """
    for options in config.tasks:
        task = model.tasks[options.name]
        if isinstance(task, MultiLabelTask):
            own = predictions[VALIDATION][options.name]

            def named(line: str, name: str = options.name) -> None:
                log(f"{name}: {line}")

            task.decision = choose(
                options.decision, task.labels, own.outputs, own.targets, VALIDATION, named
            )
        elif isinstance(task, MultiClassTask) and options.decision.calibrate == "temperature":
            own = predictions[VALIDATION][options.name]
            try:
                task.decision = choose_class_decision(
                    own.outputs, own.targets, task.labels, split=VALIDATION
                )
            except InputError as error:
                log(f"{options.name}: not calibrated: {error}")
            else:
                log(f"{options.name}: temperature {task.decision.temperature:.3g}, {VALIDATION}")


@torch.inference_mode()
def predict_split(
    model: Model, config: MultiTaskConfig, parts: Sequence[Part], split: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns outputs and targets of all images of a split by task, on the CPU.

    Images are decoded in full, as in prediction, since decisions are chosen on these outputs.
    """
    device = next(model.parameters()).device
    outputs: dict[str, list[Tensor]] = {name: [] for name in model.tasks}
    targets: dict[str, list[Tensor]] = {name: [] for name in model.tasks}
    with evaluating(model):
        for batch in split_loader(config, parts, split, model, cached=False):
            found = model.outputs(batch.to(device).inputs)
            for name in model.tasks:
                outputs[name].append(found[name].float().cpu())
                targets[name].append(batch.targets[name])
    return (
        {name: torch.cat(own) for name, own in outputs.items()},
        {name: torch.cat(own) for name, own in targets.items()},
    )


def _result(task: Task, own: Predicted, split: str) -> TaskResult:
    main, images = ERRORS.get(task.kind, task.score_name), len(own.outputs)
    if not isinstance(task, MultiLabelTask):
        return TaskResult(task.kind, images, task.metrics(own.outputs, own.targets), main)
    report = task.report(own.outputs, own.targets, split)
    ap = dict(zip(task.labels, report.ap.tolist(), strict=True))
    return TaskResult(task.kind, images, report.metrics, main, ap, tuple(report.protocol))


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
