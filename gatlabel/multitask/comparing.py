"""Baselines of a multi-task run, trained with its options: single tasks, and equal weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatlabel.devices import choose_device
from gatlabel.engine.fitting import fit
from gatlabel.files import read_json, write_json
from gatlabel.graph.spec import GraphSpec
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import Model
from gatlabel.multitask.building import (
    build_model,
    make_loaders,
    make_objective,
    outputs_of,
    parameters_of,
)
from gatlabel.multitask.completing import make_completions
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.duration import Duration
from gatlabel.multitask.evaluation import (
    Predictions,
    Results,
    TaskResult,
    choose_decisions,
    predict_splits,
    results_of,
    splits_of,
)
from gatlabel.multitask.parts import Part
from gatlabel.multitask.shared_options import SharedOptions
from gatlabel.multitask.starting import start_heads
from gatlabel.multitask.tasks import TaskOptions
from gatlabel.training.fitting import spec_of_run
from gatlabel.training.run import logged_warnings


@dataclass(frozen=True)
class Comparison:
    """The run itself, or a baseline trained with the same options.

    Attributes:
        name: ``single`` (one model per task) or ``equal`` (equal weights).
        results: By split, by task.
        parameters: Number of parameters of all its networks together.
        seconds: Total training time.
    """

    name: str
    results: Results
    parameters: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for JSON."""
        results = {
            split: {task: result.to_dict() for task, result in own.items()}
            for split, own in self.results.items()
        }
        return {
            "name": self.name,
            "results": results,
            "parameters": self.parameters,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Comparison:
        """Restores a comparison from the output of :meth:`to_dict`."""
        results = {
            split: {task: TaskResult.from_dict(result) for task, result in own.items()}
            for split, own in found["results"].items()
        }
        return cls(found["name"], results, found["parameters"], found["seconds"])


def is_compared(config: MultiTaskConfig) -> bool:
    """Whether baselines are trained too: only on request."""
    return config.run.compare == "yes"


def compare(
    config: MultiTaskConfig, parts: Sequence[Part], folder: Path, signals: Signals, log: Log
) -> list[Comparison]:
    """Trains the baselines; those that an interrupted run finished are not trained again.

    Args:
        config: The options, resolved.
        parts: The data sets.
        folder: The folder of results, one file per network.
        signals: Checked before every step for a signal to stop.
        log: Called with progress messages.
    """
    folder.mkdir(exist_ok=True)
    found: dict[str, list[Comparison]] = {}
    for kind, name, own, its in _variants(config, parts):
        path = folder / f"{name}.json"
        if not path.is_file():
            log(f"training a baseline: {name}")
            write_json(path, _trained(kind, own, its, folder / name, signals, log).to_dict())
        found.setdefault(kind, []).append(Comparison.from_dict(read_json(path, "comparison")))
    return [_joined(each) for each in found.values()]


def _variants(
    config: MultiTaskConfig, parts: Sequence[Part]
) -> Iterator[tuple[str, str, MultiTaskConfig, list[Part]]]:
    """Yields kind, name, options and data of each network."""
    plain = tuple(dataclasses.replace(task, weight=1.0) for task in config.tasks)
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, compare="no"))
    for task in plain:
        part = next(part for part in parts if task.name in part.outputs)
        alone = dataclasses.replace(
            config, tasks=(_alone(config, task),), balancing="equal", adapter="none",
            shared=SharedOptions(),
        )  # fmt: skip
        yield "single", f"single-{task.name}", alone, [part.only(task.name)]
    if config.balancing != "equal":
        yield (
            "equal",
            "equal",
            dataclasses.replace(config, tasks=plain, balancing="equal"),
            [*parts],
        )


def _alone(config: MultiTaskConfig, task: TaskOptions) -> TaskOptions:
    """Gives a multi-label task of a shared graph a graph of its own labels, and an equal head."""
    shared = config.shared
    if task.name not in (shared.tasks or ()) or task.kind != "multilabel":
        return task
    graph = task.graph if GraphSpec.parse(shared.graph).is_file else shared.graph
    return dataclasses.replace(task, graph=graph, head=shared.head)


def _trained(
    kind: str,
    config: MultiTaskConfig,
    parts: Sequence[Part],
    folder: Path,
    signals: Signals,
    log: Log,
) -> Comparison:
    """Trains one network; checkpoints are written only if the best epoch is to be kept."""
    completions = make_completions(config, parts)
    with logged_warnings(lambda line: None):  # the run itself has logged the same warnings
        model = build_model(config, parts, completions)
    start_heads(model, config, parts, completions, lambda line: None)
    checkpoints = folder if config.run.keep == "best" else None
    if checkpoints is not None:
        checkpoints.mkdir(exist_ok=True)
    duration = Duration()
    if config.run.epochs:
        fit(
            model,
            make_loaders(config, parts, model),
            make_objective(config, outputs_of(parts), completions),
            config.optimizer,
            spec_of_run(config.run),
            checkpoints=checkpoints,
            callbacks=[duration],
            signals=signals,
            log=log,
        )
    results = decide_and_evaluate(model, config, parts, lambda line: None)[1]
    return Comparison(kind, results, parameters_of(model), duration.seconds)


def decide_and_evaluate(
    model: Model, config: MultiTaskConfig, parts: Sequence[Part], log: Log
) -> tuple[Predictions, Results]:
    """Chooses the decisions of a trained model, and evaluates it.

    Args:
        model: The model; it ends on the CPU.
        config: The options.
        parts: The data sets.
        log: Called with what was decided.

    Returns:
        Its outputs on all splits but that of training, and what it reaches there.
    """
    model.to(choose_device(config.run.device))
    try:
        predictions = predict_splits(model, config, parts, splits_of(parts))
    finally:
        model.cpu()
    choose_decisions(model, config, predictions, log)
    return predictions, results_of(model, predictions)


def _joined(several: Sequence[Comparison]) -> Comparison:
    """Merges the results of single-task networks."""
    results: dict[str, dict[str, TaskResult]] = {}
    for each in several:
        for split, own in each.results.items():
            results.setdefault(split, {}).update(own)
    return Comparison(
        several[0].name,
        results,
        sum(each.parameters for each in several),
        sum(each.seconds for each in several),
    )
