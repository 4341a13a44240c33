"""The options of a run with several tasks.

A config file with a list ``tasks`` holds these options. Its sections ``images``, ``encoder``,
``optimizer`` and ``run`` are the same as in a run with one task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from gatlabel.data.options import CSV, DataOptions, ImageOptions
from gatlabel.encoders.options import EncoderOptions
from gatlabel.engine.options import OptimizerOptions
from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import write_text
from gatlabel.losses.options import LOSSES
from gatlabel.multitask.shared_options import SHARED_KINDS, SharedOptions
from gatlabel.multitask.tasks import TASK_DATA, TaskOptions
from gatlabel.option_values import from_text, from_yaml
from gatlabel.options import Options, choice, group, option, several, updated, with_absolute_paths
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.options import RunOptions

__all__ = ["MultiTaskConfig", "TaskOptions", "read_tasks_config"]

#: Options of a CSV file that a column of a task makes meaningless.
_OF_LABELS = (
    *("classes", "label_column", "label_columns", "unknown_column", "difficult_column"),
    *("difficult", "minus_one", "repeated"),
)
#: Options of tasks that the command line sets for all multi-label tasks.
OF_LABELS = ("graph", "head", "loss", "missing", "distillation", "decision")
#: Options of a run that only runs with one task have, with the value that is allowed.
_OF_ONE_TASK = {"folds": None, "refit": False}


@dataclass(frozen=True, kw_only=True)
class MultiTaskConfig(Options):
    """All options of a run with several tasks.

    Example:
        >>> config = MultiTaskConfig(data=CSV(root="photos"), tasks=[
        ...     {"name": "things", "kind": "multilabel", "column": "labels", "head": "gat"},
        ...     {"name": "count", "kind": "regression", "column": "n"}], balancing="uncertainty")
        >>> config.tasks[1].kind
        'regression'
    """

    tasks: tuple[TaskOptions, ...] = several(TaskOptions, "The tasks of the model.")
    data: DataOptions = choice(TASK_DATA, "none", "Data set of tasks without their own.")
    images: ImageOptions = group(ImageOptions, "What is done to images.")
    encoder: EncoderOptions = group(EncoderOptions, "The network from images to features.")
    mixing: Literal["proportional", "sqrt", "round_robin"] = option(
        "proportional",
        "How data sets are mixed: in proportion to their sizes, to the square roots, or in turn.",
    )
    balancing: Literal[
        "equal", "fixed", "uncertainty", "dwa", "famo", "gradnorm", "upgrad", "mgda", "pcgrad",
        "cagrad", "gradvac", "aligned", "imtlg", "dualproj", "fairgrad",
    ] = option(
        "equal",
        "How the losses of tasks are combined. fixed takes the weights of the tasks; upgrad and "
        "those after it combine gradients (extra balancing).",
    )  # fmt: skip
    adapter: Literal["none", "adapter", "cross_stitch"] = option(
        "none",
        "Modules between the shared features and each head: none, adapter (a residual "
        "bottleneck) or cross_stitch (adapters whose outputs are mixed).",
    )
    shared: SharedOptions = group(SharedOptions, "One label graph for several tasks.")
    optimizer: OptimizerOptions = group(OptimizerOptions, "The optimiser, and its rates.")
    run: RunOptions = group(RunOptions, "How long, where and with what care a run trains.")

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [task.name for task in self.tasks]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise InputError(f"two tasks are called {name!r}: give each a name of its own")
        for task in self.tasks:
            self._check_data(task)
            if task.weight != 1 and self.balancing != "fixed":
                raise InputError(
                    f"task {task.name!r}: weight={task.weight}: not for "
                    f"balancing={self.balancing}, only for fixed"
                )
        if self.tasks and not any(task.weight for task in self.tasks):
            raise InputError("the weights of all tasks are 0: give a larger one")
        self._check_shared()
        if len(self.tasks) == 1 and self.balancing != "equal":
            raise InputError(
                f"balancing={self.balancing}: there is nothing to balance with one task"
            )
        if len(self.tasks) == 1 and self.run.compare == "yes":
            raise InputError("run.compare=yes: there is nothing to compare with one task")
        run, encoder = self.run, self.encoder
        for name, usual in _OF_ONE_TASK.items():
            if getattr(run, name) != usual:
                raise InputError(f"run.{name}={getattr(run, name)}: not for several tasks")
        if run.keep in ("proven", "unless-worse"):
            raise InputError(f"run.keep={run.keep}: not for several tasks, only last and best")
        shared = self.shared.tasks or ()
        heads = [self.shared.head if t.name in shared else t.head for t in self.tasks]
        starts = [getattr(head, "start", None) == "ridge" for head in heads]
        if run.epochs == 0 and not all(starts):
            raise InputError(
                "run.epochs=0: only where each task has a head that starts in closed form "
                "(head.start=ridge)"
            )
        if encoder.init is not None and any(starts):
            raise InputError(
                f"head.start=ridge: not for encoder.init={encoder.init}, only for none"
            )

    def _check_shared(self) -> None:
        """Refuses tasks that cannot have their labels in one graph."""
        known = {task.name: task for task in self.tasks}
        for name in self.shared.tasks or ():
            if name not in known:
                raise unknown_choice("task of shared.tasks", name, known)
            task, where = known[name], f"shared.tasks: task {name!r}"
            if task.kind not in SHARED_KINDS:
                raise InputError(
                    f"{where}: kind={task.kind}: its outputs are no labels of a graph, only those "
                    f"of {' and '.join(SHARED_KINDS)}"
                )
            completes = task.missing.unknown == "complete" or task.missing.pseudo_by_graph
            for option_name, value in (("graph", task.graph), ("head", task.head.name)):
                if value not in (None, "linear") and not (option_name == "graph" and completes):
                    raise InputError(
                        f"{where}: {option_name}={value}: the graph and head of these tasks are "
                        "those of shared"
                    )

    def _check_data(self, task: TaskOptions) -> None:
        data, where = self.data_of(task), f"task {task.name!r}"
        if data.name == "none":
            raise InputError(f"{where} has no data set: give data, to it or to all tasks")
        if task.column is None:
            if task.kind not in ("multilabel", "sequence"):
                raise InputError(f"{where}: kind={task.kind} needs a column of a CSV file")
            return
        if not isinstance(data, CSV):
            raise InputError(
                f"{where}: column={task.column[0]}: not for data={data.name}, only csv"
            )
        for name in _OF_LABELS:
            if getattr(data, name) != CSV.__dataclass_fields__[name].default:
                raise InputError(f"{where}: data.{name} has no effect on a task with a column")

    def data_of(self, task: TaskOptions) -> DataOptions:
        """Returns the data set of a task: its own, or that of all tasks."""
        return self.data if task.data.name == "none" else task.data

    def require_tasks(self) -> None:
        """Makes sure that there is a task.

        Raises:
            InputError: If there is none.
        """
        if not self.tasks:
            raise InputError(
                "no task: give a list tasks in a config file, or --task NAME=KIND:COLUMN"
            )

    def resolved(self) -> MultiTaskConfig:
        """Returns the config with all automatic choices made, so that the run can be repeated.

        Options are resolved as in a run with one task; paths become absolute.

        Raises:
            InputError: If there is no task.
        """
        self.require_tasks()
        base = self.part_of(self.tasks[0]).resolved()
        parts = {name: getattr(base, name) for name in ("images", "encoder", "optimizer", "run")}
        return with_absolute_paths(dataclasses.replace(self, **parts))

    def part_of(self, task: TaskOptions) -> TrainConfig:
        """Returns the options of a single-task run that correspond to one task."""
        parts = {name: getattr(self, name) for name in ("images", "encoder", "optimizer", "run")}
        own: dict[str, Any] = {}
        if task.kind == "multilabel":
            names = ("missing", "distillation", "decision", "head")
            own = {name: getattr(task, name) for name in names}
            own["graph"] = task.graph or "conditional"
            if task.loss.name != "default":
                own["loss"] = task.loss
        return TrainConfig(data=self.data_of(task), **own, **parts)

    def save(self, path: Path) -> None:
        """Writes a YAML file that ``gatlabel train --config`` runs again."""
        write_text(path, self.to_yaml())

    def to_yaml(self) -> str:
        """Returns all options as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def tasks_config_from(options: Mapping[str, Any]) -> MultiTaskConfig:
    """Builds a config from the primitives of a YAML file.

    Raises:
        InputError: If an option is unknown (the message gives the nearest) or wrong.
    """
    for name in OF_LABELS:
        if name in options:
            raise InputError(f"{name}: in a file an option of each task: tasks: [{{{name}: …}}]")
    found: MultiTaskConfig = updated(MultiTaskConfig(), options, from_yaml)
    return found


def read_tasks_config(path: Path) -> MultiTaskConfig:
    """Reads a YAML file of options.

    Raises:
        InputError: If the file or an option is wrong.
    """
    options = read_options(path)
    try:
        return tasks_config_from(options)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def for_labels(tasks: Sequence[TaskOptions], given: Mapping[str, Any]) -> tuple[TaskOptions, ...]:
    """Returns tasks of which the multi-label ones have other options.

    Args:
        tasks: The options of the tasks.
        given: Words of the command line by names of :data:`OF_LABELS`, nested.

    Raises:
        InputError: If no task is multi-label, or an option is wrong.
    """
    if not any(task.kind == "multilabel" for task in tasks):
        raise InputError(f"--{next(iter(given)).replace('_', '-')}: no task has kind multilabel")
    found = []
    for task in tasks:
        if task.kind == "multilabel":
            if "loss" in given and task.loss.name == "default":  # it is bce, which has options
                task = dataclasses.replace(task, loss=LOSSES["bce"]())
            task = updated(task, given, from_text)
        found.append(task)
    return tuple(found)


def refuse_other_options(named: Mapping[str, Any]) -> None:
    """Refuses options of the command line that a run with several tasks does not have.

    Raises:
        InputError: The message names the option.
    """
    known = MultiTaskConfig.__dataclass_fields__
    for name in named:
        if name.partition(".")[0] not in (*known, *OF_LABELS):
            raise InputError(f"--{name.replace('_', '-')}: not for several tasks")
