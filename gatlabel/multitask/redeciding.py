"""Chooses new decisions for a finished run with several tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from gatlabel.csv_files import read_curves
from gatlabel.decisions.by_task import save_decisions
from gatlabel.decisions.choosing import choose_decision
from gatlabel.decisions.decision import Decision
from gatlabel.decisions.options import DecisionOptions
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, unknown_choice
from gatlabel.folder_lock import FolderLock
from gatlabel.multitask.evaluation import Results, predict_splits, results_of, splits_of
from gatlabel.multitask.outcome import Outcome, read_outcome
from gatlabel.multitask.reporting import write_outcome
from gatlabel.multitask.saved_runs import open_tasks, own_parts
from gatlabel.training.deciding import NAMES, VALIDATION
from gatlabel.training.run_folder import RunFolder


def decide_tasks(
    folder: str | Path,
    options: DecisionOptions | None = None,
    *,
    task: str | None = None,
    split: str | None = None,
    device: str = "auto",
) -> tuple[Mapping[str, Decision], Results]:
    """Chooses decisions for a finished run; updates ``decisions.json``, metrics and report.

    Args:
        folder: The run folder. The data that it was trained on must be there.
        options: Aim and calibration; default: those of each task.
        task: A multi-label task; default: all of them.
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
        if not model.decisions:
            raise InputError(f"{path} has no multi-label task: there are no thresholds to choose")
        if task is not None and task not in model.decisions:
            raise unknown_choice("multi-label task", task, model.decisions)
        parts = own_parts(model, config)
        names = splits_of(parts)
        name = NAMES.get(split or VALIDATION, split or VALIDATION)
        if name not in names:
            raise unknown_choice("split", name, names)
        model.to(place)
        predictions = predict_splits(model, config, parts, names)
        model.cpu()
        chosen = {}
        for each in config.tasks:
            if each.name not in model.decisions or task not in (None, each.name):
                continue
            if each.name not in predictions[name]:
                raise InputError(f"no image of {name} is labelled for the task {each.name!r}")
            of, found = model.tasks[each.name], predictions[name][each.name]
            chosen[each.name] = of.decision = choose_decision(  # type: ignore[attr-defined]
                found.outputs,
                found.targets,
                of.labels,  # type: ignore[attr-defined]
                options or each.decision,
                split=name,
            )
        results = results_of(model, predictions)
        own = dataclasses.replace(own, results=results)
        curves = read_curves(RunFolder(path).curves)
        save_decisions(path, model.decisions)
        write_outcome(
            path, Outcome(config, parts, model, weights, own, comparisons, curves, predictions)
        )
    return chosen, results
