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
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import Model
from gatlabel.multitask.building import build_model, make_loaders, make_objective, parameters_of
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.duration import Duration
from gatlabel.multitask.evaluation import Results, TaskResult, evaluate_split, splits_of
from gatlabel.multitask.parts import Part
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
    """Whether baselines are trained too: only on request, and with at least two tasks."""
    return config.run.compare == "yes" and len(config.tasks) > 1


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
    for task in plain:
        part = next(part for part in parts if task.name in part.outputs)
        alone = dataclasses.replace(config, tasks=(task,), balancing="equal", adapter="none")
        yield "single", f"single-{task.name}", alone, [part.only(task.name)]
    if config.balancing != "equal":
        yield (
            "equal",
            "equal",
            dataclasses.replace(config, tasks=plain, balancing="equal"),
            [*parts],
        )


def _trained(
    kind: str,
    config: MultiTaskConfig,
    parts: Sequence[Part],
    folder: Path,
    signals: Signals,
    log: Log,
) -> Comparison:
    """Trains one network; checkpoints are written only if the best epoch is to be kept."""
    with logged_warnings(lambda line: None):  # the run itself has logged the same warnings
        model = build_model(config, parts)
    checkpoints = folder if config.run.keep == "best" else None
    if checkpoints is not None:
        checkpoints.mkdir(exist_ok=True)
    duration = Duration()
    fit(
        model,
        make_loaders(config, parts, model),
        make_objective(config),
        config.optimizer,
        spec_of_run(config.run),
        checkpoints=checkpoints,
        callbacks=[duration],
        signals=signals,
        log=log,
    )
    results = results_of(model, config, parts)
    return Comparison(kind, results, parameters_of(model), duration.seconds)


def results_of(model: Model, config: MultiTaskConfig, parts: Sequence[Part]) -> Results:
    """Evaluates a model on all splits except training, then moves it to the CPU."""
    model.to(choose_device(config.run.device))
    try:
        return {split: evaluate_split(model, config, parts, split) for split in splits_of(parts)}
    finally:
        model.cpu()


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
