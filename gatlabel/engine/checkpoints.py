"""Checkpoint files: written whole and read back, the last one and the one before."""

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
    """A checkpoint that was read and found whole.

    Attributes:
        path: Its file.
        state: Everything that it holds.
        epoch: The last finished epoch, counted from 0; -1 before the first.
        complete: Whether nothing is left to train: all epochs, or stopped early.
    """

    path: Path
    state: Mapping[str, Any]
    epoch: int
    complete: bool

    @property
    def global_step(self) -> int:
        """Number of optimiser steps that were taken."""
        return int(self.state["global_step"])


def save_checkpoint(folder: Path, state: Mapping[str, Any], *, best: bool = False) -> None:
    """Writes ``last.ckpt``; the one it replaces becomes ``previous.ckpt``.

    The new file is written beside the old one, read back, and only then takes its place. A kill at
    any moment leaves at least one whole checkpoint.

    Args:
        folder: The folder of checkpoints.
        state: What to save: tensors and primitives, in dictionaries and lists.
        best: Whether the same state becomes ``best.ckpt`` too. It does so first: a kill between
            the two is mended when the epoch is repeated.

    Raises:
        InputError: If a file cannot be written, or is read back damaged.
    """
    last = folder / LAST
    with atomic_path(last, make_folder=False) as temporary:
        # One write: given a path, torch loses the reason of a failure; given a file, it makes
        # thousands of small writes.
        content = io.BytesIO()
        torch.save(dict(state), content)
        temporary.write_bytes(content.getbuffer())
        damage = _damage(temporary)
        if damage:
            raise InputError(f"{last} was read back damaged ({damage}): check the disk")
        if best:
            _link(temporary, folder / BEST)
        if last.is_file():
            _link(last, folder / PREVIOUS)


def newest_checkpoint(folder: Path, log: Log = lambda line: None) -> Checkpoint | None:
    """Reads the newest whole checkpoint: ``last.ckpt``, or ``previous.ckpt`` if that is damaged.

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
            log(f"going on from {path}, after epoch {checkpoint.epoch + 1}")
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
        raise InputError(f"the checkpoint {path} is missing, or no file")
    damage = _damage(path)
    if damage:
        raise InputError(f"the checkpoint {path} is damaged: {damage}")
    state = _loaded(path)
    try:
        return Checkpoint(path, state, int(state["epoch"]), bool(state["run"]["complete"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no checkpoint of a gatlabel run") from error


def _damage(path: Path) -> str:
    """Returns what is wrong with a file of ``torch.save``, or an empty string.

    torch does not compare the checksums of what it reads; the archive's own show a flipped bit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return f"checksum of {bad}" if bad else ""
    except OSError as error:
        return error.strerror or first_line(error)
    except Exception as error:  # zipfile, struct and zlib raise many kinds
        return first_line(error)


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a kind per fault: all are about this file
        raise InputError(
            f"the checkpoint {path} cannot be read: {first_line(error)[:200]}"
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"{path} is no checkpoint of a gatlabel run")
    return state


def _link(source: Path, target: Path) -> None:
    """Gives the file another name, in place of what had it; where links are missing, a copy."""
    with temporary_folder(target.parent) as place:
        temporary = place / target.name
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
