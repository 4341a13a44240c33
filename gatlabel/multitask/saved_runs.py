"""A finished run with several tasks: its model and options, and evaluation on its own data."""

from __future__ import annotations

from pathlib import Path

from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.model import Model
from gatlabel.multitask.config import MultiTaskConfig, read_tasks_config
from gatlabel.multitask.evaluation import Results, predict_splits, results_of, splits_of
from gatlabel.multitask.parts import Part, read_parts

CONFIG = "config.yaml"


def open_tasks(folder: str | Path) -> tuple[Model, MultiTaskConfig]:
    """Loads the model of a run and its options.

    Raises:
        InputError: If this is not such a run, or a file is missing or damaged.
    """
    path = Path(folder)
    if not (path / CONFIG).is_file():
        raise InputError(f"{path} is not a run folder: it has no {CONFIG}")
    config = read_tasks_config(path / CONFIG)
    model = Model.from_pretrained(path)
    kinds = {task.name: task.kind for task in config.tasks}
    if kinds != {name: task.kind for name, task in model.tasks.items()}:
        raise InputError(f"{path / CONFIG} has other tasks than the model in {path}")
    for task in config.tasks:
        if getattr(config.data_of(task), "download", False):
            raise InputError(f"{path / CONFIG} requests a download: set download to false there")
    return model, config


def own_parts(model: Model, config: MultiTaskConfig) -> list[Part]:
    """Reads the data of a run.

    Raises:
        InputError: If they have other labels than the model.
    """
    parts = read_parts(config)
    for part in parts:
        for name, outputs in part.outputs.items():
            if tuple(model.tasks[name].outputs) != outputs:
                raise InputError(f"the data of the task {name!r} have other labels than the model")
    return parts


def evaluate_run(folder: str | Path, split: str | None = None, *, device: str = "auto") -> Results:
    """Evaluates a run on its own data.

    Args:
        folder: The run folder.
        split: ``val`` or ``test``; default: both, if they have images.
        device: See :func:`~gatlabel.devices.choose_device`.

    Returns:
        Results by split and task.

    Raises:
        InputError: If there is no such run or split, or the data have other labels than the model.
    """
    model, config = open_tasks(folder)
    parts = own_parts(model, config)
    known = splits_of(parts)
    if split is not None and split not in known:
        raise InputError(f"the data have no split {split!r} with images: {', '.join(known)}")
    model.to(choose_device(device))
    wanted = [name for name in known if split in (None, name)]
    return results_of(model, predict_splits(model, config, parts, wanted))
