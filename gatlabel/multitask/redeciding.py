"""Chooses new decisions for a finished run with several tasks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gatlabel.csv_files import read_curves
from gatlabel.decisions.by_task import Decisions, save_decisions
from gatlabel.decisions.choosing import choose_decision
from gatlabel.decisions.classes import ClassDecision
from gatlabel.decisions.decision import Decision
from gatlabel.decisions.options import DecisionOptions
from gatlabel.decisions.temperature import choose_class_decision
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, unknown_choice
from gatlabel.folder_lock import FolderLock
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.evaluation import Results, predict_splits, results_of, splits_of
from gatlabel.multitask.outcome import Outcome, read_outcome
from gatlabel.multitask.reporting import write_outcome
from gatlabel.multitask.saved_runs import open_tasks, own_parts
from gatlabel.multitask.tasks import TaskOptions
from gatlabel.options import differing
from gatlabel.tasks import MultiClassTask, MultiLabelTask
from gatlabel.training.deciding import NAMES, VALIDATION
from gatlabel.training.run_folder import RunFolder


def decide_tasks(
    folder: str | Path,
    options: DecisionOptions | None = None,
    *,
    task: str | None = None,
    split: str | None = None,
    device: str = "auto",
) -> tuple[Decisions, Results]:
    """Chooses decisions for a finished run; updates ``decisions.json``, metrics and report.

    Args:
        folder: The run folder. The data that it was trained on must be there.
        options: Aim and calibration; default: those of each task. A multi-class task has
            ``calibrate="temperature"`` only.
        task: A multi-label or multi-class task; default: all multi-label tasks, and with
            ``calibrate="temperature"`` all multi-class tasks.
        split: ``validation`` or ``test``; default: validation.
        device: The device of the model.

    Returns:
        The chosen decisions, and the results of the model with them.

    Raises:
        InputError: If this is not a finished run, it is in use, there is no such task or split, or
            the split cannot be used for a choice; nothing is written then.
    """
    path = Path(folder)
    if not RunFolder(path).finished:
        raise InputError(f"the run {path} is not finished: go on with it with train --resume")
    place = choose_device(device)
    with FolderLock(path):
        model, config = open_tasks(path)
        own, comparisons, weights = read_outcome(path)
        wanted = _wanted(config, options, task)
        parts = own_parts(model, config)
        names = splits_of(parts)
        name = NAMES.get(split or VALIDATION, split or VALIDATION)
        if name not in names:
            raise unknown_choice("split", name, names)
        model.to(place)
        predictions = predict_splits(model, config, parts, names)
        model.cpu()
        chosen: dict[str, Decision | ClassDecision] = {}
        for each in wanted:
            if each.name not in predictions[name]:
                raise InputError(f"no image of {name} is labelled for the task {each.name!r}")
            of, found = model.tasks[each.name], predictions[name][each.name]
            if isinstance(of, MultiLabelTask):
                of.decision = chosen[each.name] = choose_decision(
                    found.outputs, found.targets, of.labels, options or each.decision, split=name
                )
            elif isinstance(of, MultiClassTask):
                of.decision = chosen[each.name] = choose_class_decision(
                    found.outputs, found.targets, of.labels, split=name
                )
        results = results_of(model, predictions)
        own = dataclasses.replace(own, results=results)
        curves = read_curves(RunFolder(path).curves)
        save_decisions(path, model.decisions)
        write_outcome(
            path, Outcome(config, parts, model, weights, own, comparisons, curves, predictions)
        )
    return chosen, results


def _wanted(
    config: MultiTaskConfig, options: DecisionOptions | None, task: str | None
) -> list[TaskOptions]:
    """Returns the tasks to choose a decision for.

    Raises:
        InputError: If there are none, or options do not apply to the task.
    """
    decided = [each for each in config.tasks if each.kind in ("multilabel", "multiclass")]
    if task is not None:
        if task not in [each.name for each in decided]:
            known = [each.name for each in decided]
            raise unknown_choice("multi-label or multi-class task", task, known)
        (own,) = (each for each in decided if each.name == task)
        if own.kind == "multiclass":
            _require_temperature(task, options or own.decision)
        return [own]
    found = [
        each
        for each in decided
        if each.kind == "multilabel" or (options or each.decision).calibrate == "temperature"
    ]
    if not found:
        raise InputError(
            "no multi-label task, and no multi-class task with calibrate=temperature: there is "
            "nothing to choose"
        )
    return found


def _require_temperature(task: str, options: DecisionOptions) -> None:
    for name in differing(DecisionOptions(calibrate="temperature"), options):
        raise InputError(
            f"task {task!r}: {name}={getattr(options, name)}: a multi-class task has "
            "calibrate=temperature (--calibrate temperature) only"
        )
