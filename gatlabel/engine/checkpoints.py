"""Checkpoint files: written atomically and verified, the last one and the previous one."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gatlabel.atomic import atomic_path, temporary_folder
from gatlabel.errors import InputError, first_line
from gatlabel.logs import Log

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified.

    Attributes:
        path: Its file.
        state: All its contents.
        epoch: The last finished epoch, counted from 0; -1 before the first.
        complete: Whether training is finished: all epochs, or stopped early.
    """

    path: Path
    state: Mapping[str, Any]
    epoch: int
    complete: bool

    @property
    def global_step(self) -> int:
        """Number of optimiser steps so far."""
        return int(self.state["global_step"])


def save_checkpoint(folder: Path, state: Mapping[str, Any], *, best: bool = False) -> None:
    """Writes ``last.ckpt``; the replaced file becomes ``previous.ckpt``.

    The new file is written to another name, verified, and then renamed. A kill at any moment leaves
    at least one complete checkpoint.

    Args:
        folder: The folder of checkpoints.
        state: What to save: tensors and primitives, in dictionaries and lists.
        best: Whether to write ``best.ckpt`` too. It is written first: after a kill between the two,
            the epoch is repeated and writes both.

    Raises:
        InputError: If a file cannot be written, or is damaged when it is verified.
    """
    last = folder / LAST
    with atomic_path(last, make_folder=False) as temporary:
        # A single write: with a path, torch loses the reason of a failure; with a file, it makes
        # thousands of small writes.
        content = io.BytesIO()
        torch.save(dict(state), content)
        temporary.write_bytes(content.getbuffer())
        damage = _damage(temporary)
        if damage:
            raise InputError(f"{last} is damaged after writing ({damage}): check the disk")
        if best:
            _link(temporary, folder / BEST)
        if last.is_file():
            _link(last, folder / PREVIOUS)


def newest_checkpoint(folder: Path, log: Log = lambda line: None) -> Checkpoint | None:
    """Reads ``last.ckpt``, or ``previous.ckpt`` if that is damaged.

    Args:
        folder: The folder of checkpoints.
        log: Called with one line for each damaged file.

    Returns:
        The checkpoint, or ``None`` if the folder has none.

    Raises:
        InputError: If there are checkpoints, and all are damaged.
    """
    found = [path for name in (LAST, PREVIOUS) if os.path.lexists(path := folder / name)]
    for path in found:
        try:
            checkpoint = read_checkpoint(path)
        except InputError as error:
            log(f"warning: {error}")
            continue
        if path.name != LAST:
            log(f"resuming from {path}, after epoch {checkpoint.epoch + 1}")
        return checkpoint
    if found:
        names = " and ".join(path.name for path in found)
        raise InputError(
            f"no checkpoint in {folder} can be read ({names}): start again with --overwrite"
        )
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads one checkpoint.

    Raises:
        InputError: If it is missing, damaged, or was not written by a run of gatlabel.
    """
    if not path.is_file():
        raise InputError(f"the checkpoint {path} is missing, or not a file")
    damage = _damage(path)
    if damage:
        raise InputError(f"the checkpoint {path} is damaged: {damage}")
    state = _loaded(path)
    try:
        return Checkpoint(path, state, int(state["epoch"]), bool(state["run"]["complete"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a checkpoint of a gatlabel run") from error


def _damage(path: Path) -> str:
    """Returns the damage of a file written by ``torch.save``, or an empty string.

    torch does not verify checksums on reading; those of the zip archive detect flipped bits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return f"checksum of {bad}" if bad else ""
    except OSError as error:
        return error.strerror or first_line(error)
    except Exception as error:  # zipfile, struct and zlib raise various errors
        return first_line(error)


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises various errors, all about this file
        raise InputError(
            f"the checkpoint {path} cannot be read: {first_line(error)[:200]}"
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"{path} is not a checkpoint of a gatlabel run")
    return state


def _link(source: Path, target: Path) -> None:
    """Creates a hard link to a file, replacing the target; a copy if links are not supported."""
    with temporary_folder(target.parent) as place:
        temporary = place / target.name
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
