"""``gatlabel train`` with several tasks."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatlabel.cli.output import show, show_block, show_table
from gatlabel.cli.tables import task_table
from gatlabel.errors import InputError
from gatlabel.logs import log
from gatlabel.multitask.config import (
    OF_LABELS,
    MultiTaskConfig,
    for_labels,
    read_tasks_config,
    refuse_other_options,
)
from gatlabel.multitask.tasks import read_task
from gatlabel.option_values import from_text
from gatlabel.options import nested, updated
from gatlabel.training.config import TrainConfig, read_options

#: Options that only runs with several tasks have.
ONLY_TASKS = ("mixing", "balancing", "adapter", "shared")


def has_tasks(words: Sequence[str] | None, config: Path | None) -> bool:
    """Whether several tasks are described, by ``--task`` or in a config file."""
    return bool(words) or (config is not None and "tasks" in read_options(config))


def refuse_alone(named: dict[str, Any]) -> None:
    """Refuses options that need several tasks.

    Raises:
        InputError: If one is given.
    """
    for name in named:
        if name.partition(".")[0] in ONLY_TASKS:
            raise InputError(
                f"--{name} {named[name]}: only with several tasks: give --task, or a list tasks in "
                "the config file"
            )


def train_several(
    words: Sequence[str] | None, named: dict[str, Any], path: Path | None, *, only_print: bool
) -> None:
    """Trains a model for several tasks and prints its metrics.

    Args:
        words: Values of ``--task``.
        named: The other options of the command line.
        path: The config file.
        only_print: Whether to print the options only.
    """
    refuse_other_options(named)
    given = nested(named)
    base = MultiTaskConfig() if path is None else read_tasks_config(path)
    of_labels = {name: given.pop(name) for name in OF_LABELS if name in given}
    tasks = tuple(map(read_task, words)) if words else base.tasks
    given["tasks"] = for_labels(tasks, of_labels) if of_labels else tasks
    config: MultiTaskConfig = updated(base, given, from_text)
    if only_print:
        show_block(config.to_yaml())
        return
    from gatlabel.multitask.run import train_tasks

    _show(train_tasks(config, log=log))


def resume_several(folder: Path, named: dict[str, Any], config: Path | None) -> None:
    """Resumes an interrupted run."""
    from gatlabel.multitask.run import resume_tasks
    from gatlabel.training.changes import machine_options
    from gatlabel.training.run_folder import RunFinishedError

    machine_options(named if config is None else {"config": config, **named})
    given = updated(TrainConfig(), nested(named), from_text)
    options = {name: operator.attrgetter(name)(given) for name in named}
    try:
        result = resume_tasks(folder, options, log=log)
    except RunFinishedError as finished:  # not an error
        show(finished)
        return
    _show(result)


def _show(result: Any) -> None:
    show_table(task_table(result.results, result.comparisons))
    show(f"report: {result.folder / 'report.html'}")
