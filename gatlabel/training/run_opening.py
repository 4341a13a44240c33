"""Opening and locking of the folder of a new or interrupted run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gatlabel.disk_faults import PREFIX
from gatlabel.errors import InputError
from gatlabel.files import read_json, remove_leftovers, write_errors
from gatlabel.folder_lock import LOCK, FolderLock
from gatlabel.logs import Log
from gatlabel.training.config import read_options
from gatlabel.training.options import RunOptions
from gatlabel.training.run_folder import RunFinishedError, RunFolder
from gatlabel.training.run_swap import (
    FILES,
    NEW,
    bundles,
    complete_swap,
    swap_is_pending,
)

_INPUTS = {"labels.json", "counts.json", "graph.json", "choices.json"}
_KEYS = {"data", "head", "graph"}
WhyNot = Callable[[Path], str]


@contextmanager
def new_run(
    run: RunOptions, name: str, log: Log, why_no_run: WhyNot | None = None
) -> Iterator[RunFolder]:
    """Opens and locks the folder of a new run; nothing is written to it before ``begin``.

    A folder that was created here is removed if it is empty at the end.

    Args:
        run: The options; without an output, a folder with an unused name is created below
            ``runs``.
        name: Part of that name.
        log: Called with a line about an existing run.
        why_no_run: Says of a folder why it holds no run that may be replaced, or nothing; default:
            one with a run with one task may be.

    Raises:
        InputError: If the folder is in use or cannot be created, or it is not empty and
            ``overwrite`` is off or it does not contain a run.
    """
    target, made = _make(run, name)
    why = why_no_run or _why_no_run
    try:
        _place(target, run, (target / LOCK).exists(), why)
        with FolderLock(target) as lock:
            _tidy(target, log)
            folder = _place(target, run, lock.was_left, why)
            if folder.replaces:
                _log_replaced(folder, log)
            yield folder
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def unfinished_run(target: Path, log: Log) -> Iterator[RunFolder]:
    """Opens and locks the folder of an interrupted run.

    If an unfinished run in it was to replace a finished one, the unfinished run is opened.

    Raises:
        InputError: If this is not a run folder, or it is in use.
        RunFinishedError: If the run is finished; it is not changed.
    """
    if not os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises on names that are too long
        raise InputError(f"there is no run folder {target}")
    growing = RunFolder.beside(target)
    if not (growing.path.is_dir() or swap_is_pending(target)):
        _refuse_if_finished(RunFolder(target))
        RunFolder(target).require_config()
    with FolderLock(target):
        _tidy(target, log)
        if growing.path.is_dir() and not growing.config.is_file():
            growing.discard()  # it was killed before it started
        folder = growing if growing.path.is_dir() else RunFolder(target)
        remove_leftovers(folder.path)
        remove_leftovers(folder.checkpoints)
        if folder.replaces and folder.finished:
            folder.finish()
            folder = RunFolder(target)
        _refuse_if_finished(folder)
        folder.is_own = True
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


def _make(run: RunOptions, name: str) -> tuple[Path, list[Path]]:
    """Creates the folder; returns it and all created folders, the deepest first."""
    if run.output is not None:
        return run.output, _make_folder(run.output, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{name}-{run.seed}"
    for number in itertools.count(1):  # runs that start in the same second
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
        raise InputError(f"cannot create the run folder {path}: {reason}") from error
    return missing


def _tidy(target: Path, log: Log) -> None:
    """Removes the leftovers of a killed run, and completes an interrupted swap."""
    remove_leftovers(target)
    if complete_swap(target):
        log(f"{target}: the finished run has now replaced the previous one")


def _place(target: Path, run: RunOptions, was_left: bool, why: WhyNot) -> RunFolder:
    """Returns where a new run is written within its folder, without changing anything.

    Args:
        target: The folder.
        run: The options.
        was_left: Whether a run was killed in the folder.
        why: See :func:`new_run`.
    """
    with write_errors(target, "the run folder "):
        names = {entry.name for entry in target.iterdir()}
    names = {name for name in names if name != LOCK and not name.startswith(PREFIX)}
    if not names or (was_left and names <= {*_INPUTS, "checkpoints"} and _is_empty(target)):
        return RunFolder(target)
    if not run.overwrite:
        raise InputError(
            f"the run folder {target} is not empty: give another output, replace it with "
            "--overwrite, or continue it with --resume"
        )
    if names == {NEW}:
        return RunFolder.beside(target)
    if not swap_is_pending(target):
        reason = why(target)
        if reason:
            raise InputError(
                f"{target} is not a run folder: --overwrite does not replace it ({reason})"
            )
    return RunFolder.beside(target)


def _is_empty(target: Path) -> bool:
    """Whether there is no checkpoint, as the run was killed before its first epoch."""
    checkpoints = target / "checkpoints"
    return not checkpoints.is_dir() or not any(checkpoints.iterdir())


def _why_no_run(target: Path) -> str:
    folder = RunFolder(target)
    try:
        if not read_options(folder.config).keys() >= _KEYS:
            return f"{folder.config} is not the config of a run"
        labels = read_json(folder.labels, "label file")
    except InputError as error:
        return str(error)
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        return f"{folder.labels} contains no labels"
    for path in (folder.counts, folder.graph):
        if not path.is_file():
            return f"it has no {path.name}"
    for name in FILES:
        if (folder.path / name).is_dir():
            return f"its {name} is a folder"
    return ""


def _log_replaced(folder: RunFolder, log: Log) -> None:
    if folder.path.is_dir():
        log(f"the unfinished run in {folder.path} is deleted")
    log(f"the new run is written to {folder.path}; it replaces the old one when it is finished")
    for bundle in bundles(folder.target):
        log(f"the export {bundle} will be deleted with the old run")
