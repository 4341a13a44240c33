"""Opens the folder of a run, new or interrupted, and holds it until the run ends."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gatlabel.disk_faults import PREFIX
from gatlabel.errors import InputError
from gatlabel.files import read_json, remove_leftovers, write_errors
from gatlabel.folder_lock import LOCK, FolderLock
from gatlabel.logs import Log
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.run_folder import RunFinishedError, RunFolder
from gatlabel.training.run_swap import (
    FILES,
    NEW,
    bundles,
    complete_swap,
    swap_is_pending,
)

_INPUTS = {"labels.json", "counts.json", "graph.json"}
_KEYS = {"data", "head", "graph"}


@contextmanager
def new_run(config: TrainConfig, log: Log) -> Iterator[RunFolder]:
    """Opens the folder of a new run and locks it; nothing is written to it before ``begin``.

    A folder that was made here, and is empty in the end, is removed.

    Args:
        config: Its options; without an output, a folder of a free name is made below ``runs``.
        log: Called with a line about a run that is already there.

    Raises:
        InputError: If the folder is in use, cannot be made, is not empty and ``overwrite`` is off,
            or holds no run.
    """
    target, made = _make(config)
    try:
        _place(target, config, (target / LOCK).exists())
        with FolderLock(target) as lock:
            _tidy(target, log)
            folder = _place(target, config, lock.was_left)
            if folder.replaces:
                _say_what_goes(folder, log)
            yield folder
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def unfinished_run(target: Path, log: Log) -> Iterator[RunFolder]:
    """Opens and locks the folder of an interrupted run.

    That is the one that grows in the folder, if there is one, to replace another.

    Raises:
        InputError: If this is no run folder, or it is in use.
        RunFinishedError: If the run is finished; a finished run is not touched.
    """
    if not os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises on names that are too long
        raise InputError(f"there is no run folder {target}")
    growing = RunFolder.beside(target)
    if not (growing.path.is_dir() or swap_is_pending(target)):
        _refuse_if_finished(RunFolder(target))
        RunFolder(target).read_config()
    with FolderLock(target):
        _tidy(target, log)
        if growing.path.is_dir() and not growing.config.is_file():
            growing.discard()  # it was killed before it began
        folder = growing if growing.path.is_dir() else RunFolder(target)
        remove_leftovers(folder.path)
        remove_leftovers(folder.checkpoints)
        if folder.replaces and folder.finished:
            folder.finish()
            folder = RunFolder(target)
        _refuse_if_finished(folder)
        yield folder


def _refuse_if_finished(folder: RunFolder) -> None:
    if folder.derived:
        raise RunFinishedError(
            f"the run {folder.path} was made of another run without training: nothing to resume"
        )
    if folder.finished:
        raise RunFinishedError(
            f"the run {folder.path} is finished ({folder.epochs()} epochs): nothing to resume"
        )


def _make(config: TrainConfig) -> tuple[Path, list[Path]]:
    """Makes the folder; returns it, and those that were made, the deepest first."""
    if config.run.output is not None:
        return config.run.output, _make_folder(config.run.output, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{config.data.name}-{config.head.name}-{config.run.seed}"
    for number in itertools.count(1):  # runs of the same second
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            return path, _make_folder(path, exist_ok=False)
    raise AssertionError


def _make_folder(path: Path, exist_ok: bool) -> list[Path]:
    try:
        missing = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(parents=True, exist_ok=exist_ok)
    except (OSError, ValueError) as error:
        if isinstance(error, FileExistsError):
            if not exist_ok:
                raise
            raise InputError(f"the output {path} is a file: give a folder") from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot make the run folder {path}: {reason}") from error
    return missing


def _tidy(target: Path, log: Log) -> None:
    """Clears what a kill has left, and completes a swap that it interrupted."""
    remove_leftovers(target)
    if complete_swap(target):
        log(f"{target}: the finished run that was to replace another is in its place now")


def _place(target: Path, config: TrainConfig, was_left: bool) -> RunFolder:
    """Decides where in its folder a new run grows; changes nothing.

    Args:
        target: The folder.
        config: The options.
        was_left: Whether a run was killed in the folder.
    """
    with write_errors(target, "the run folder "):
        names = {entry.name for entry in target.iterdir()}
    names = {name for name in names if name != LOCK and not name.startswith(PREFIX)}
    if not names or (was_left and names <= {*_INPUTS, "checkpoints"} and _is_empty(target)):
        return RunFolder(target)
    if not config.run.overwrite:
        raise InputError(
            f"the run folder {target} is not empty: give another output, overwrite it with "
            "--overwrite, or go on with it with --resume"
        )
    if names == {NEW}:
        return RunFolder.beside(target)
    if not swap_is_pending(target):
        _require_run(target)
    return RunFolder.beside(target)


def _is_empty(target: Path) -> bool:
    """Whether no checkpoint is there: the run was killed before it had begun."""
    checkpoints = target / "checkpoints"
    return not checkpoints.is_dir() or not any(checkpoints.iterdir())


def _require_run(target: Path) -> None:
    """Makes sure that a folder holds a run, and not just a file of the same name.

    Raises:
        InputError: If it does not.
    """
    reason = _why_no_run(RunFolder(target))
    if reason:
        raise InputError(f"{target} is no run folder: --overwrite leaves it alone ({reason})")


def _why_no_run(folder: RunFolder) -> str:
    try:
        if not read_options(folder.config).keys() >= _KEYS:
            return f"{folder.config} is not that of a run"
        labels = read_json(folder.labels, "label file")
    except InputError as error:
        return str(error)
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        return f"{folder.labels} holds no labels"
    for path in (folder.counts, folder.graph):
        if not path.is_file():
            return f"it has no {path.name}"
    for name in FILES:
        if (folder.path / name).is_dir():
            return f"its {name} is a folder"
    return ""


def _say_what_goes(folder: RunFolder, log: Log) -> None:
    if folder.path.is_dir():
        log(f"the unfinished run in {folder.path} is thrown away")
    log(f"the new run grows in {folder.path}; the old one answers until it is finished")
    for bundle in bundles(folder.target):
        log(f"the export {bundle} will go with the old run")
