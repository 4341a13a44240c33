"""How a run of any kind ends early, and where it goes on from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from gatlabel.disk_faults import disk_errors
from gatlabel.engine.checkpoints import Checkpoint, newest_checkpoint
from gatlabel.errors import InputError, Interrupted
from gatlabel.files import write_errors
from gatlabel.interruptions import Signals, Stopped
from gatlabel.logs import Log
from gatlabel.training.config import read_options
from gatlabel.training.run_folder import RunFolder


@contextmanager
def stoppable() -> Iterator[Signals]:
    """Watches for signals; before the run folder has begun, nothing was written.

    Raises:
        Interrupted: On a signal.
    """
    try:
        with Signals() as signals:
            yield signals
    except Stopped as stop:
        line = f"{stop} before training started: nothing was written"
        raise Interrupted(line, stop.exit_code) from None


@contextmanager
def guarded(folder: RunFolder, signals: Signals) -> Iterator[None]:
    """Ends a run with a line on how to go on after a signal, and one that names a full disk.

    Raises:
        Interrupted: On a signal after the run folder has begun.
    """
    try:
        with signals.first(), disk_errors(folder.path):
            yield
    except Stopped as stop:
        if not (folder.is_own and folder.has_begun):
            raise
        raise Interrupted(
            f"{stop} {_progress(folder)}; continue with: "
            f"gatlabel train --resume {shlex.quote(str(folder.target))}",
            stop.exit_code,
        ) from None


def _progress(folder: RunFolder) -> str:
    """Says how far a run has come."""
    checkpoint = newest_checkpoint(folder.checkpoints)
    epochs = read_options(folder.config).get("run", {}).get("epochs")
    if checkpoint is not None:
        return f"with {checkpoint.epoch + 1} of {epochs} epochs finished"
    return "before the first epoch was finished" if epochs else "before the run was finished"


def begun_checkpoint(folder: RunFolder, log: Log) -> Checkpoint | None:
    """Returns the checkpoint to resume from; ``None`` for a run that ended before its first one.

    Raises:
        InputError: If all checkpoints are damaged, or those of a run with epochs are missing.
    """
    checkpoint = newest_checkpoint(folder.checkpoints, log)
    if checkpoint is None:
        if folder.epochs():
            raise InputError(
                f"{folder.path} has no checkpoints/last.ckpt to resume from: train again"
            )
        log(f"{folder.path} has no checkpoint yet: the run starts again")
        with write_errors(folder.path, "the run folder "):
            folder.checkpoints.mkdir(exist_ok=True)
    return checkpoint
