"""Atomic writing of files and folders, with errors that name them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatlabel.atomic import atomic_path, remove_leftovers, sync, temporary_folder
from gatlabel.disk_faults import PREFIX, WriteError, write_errors
from gatlabel.errors import InputError
from gatlabel.reading import read_json as read_json
from gatlabel.reading import read_text as read_text

__all__ = [
    "WriteError",
    "atomic_folder",
    "atomic_path",
    "check_drawing",
    "read_json",
    "read_text",
    "remove_leftovers",
    "require_only",
    "sync",
    "write_errors",
    "write_json",
    "write_text",
]

_DRAWINGS = (".png", ".svg", ".pdf")
_HALVES = re.compile("[\ud800-\udfff]")  # unpaired surrogates, which UTF-8 cannot encode


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str],
    *,
    last: str,
    replaces: Collection[str] = (),
    others: bool = False,
) -> Iterator[Path]:
    """Yields a temporary folder and moves its files into place on success.

    A new folder appears in one step. An existing one is kept, as it may be a working directory or
    mount point. Its files are exchanged one by one; ``last`` is removed first and written last, so
    that the folder is complete whenever it has that file. If the block raises, or moving is
    interrupted, the previous state is restored.

    Args:
        path: The target; missing folders are created.
        last: Name of the file that makes the folder complete.
        replaces: Names of files that may be replaced.
        others: Whether the folder may contain other files, which are kept.

    Raises:
        InputError: If the target is a file, the folder contains other files and ``others`` is
            false, or it cannot be created or written to.
    """
    with write_errors(path, "the folder "):
        target = Path(os.path.realpath(path))  # a symbolic link is kept and its target replaced
        if os.path.lexists(target) and not target.is_dir():
            raise InputError(f"cannot write the folder {target}: there is a file of that name")
        target.parent.mkdir(parents=True, exist_ok=True)
        stands = target.is_dir()
        above = target if stands else target.parent  # a mount point is a separate file system
        remove_leftovers(above)

        def check() -> None:
            if stands and not others:
                require_only(target, replaces)

        check()
        with temporary_folder(above) as place:
            new, old = place / "new", place / "old"
            new.mkdir()
            old.mkdir()
            try:
                yield new
            except WriteError as error:  # raised here only if a file cannot be read back
                raise WriteError(str(error).replace(os.fspath(new), os.fspath(target))) from error
            _sync_all(new)
            check()  # some time has passed
            if not stands:
                new.rename(target)
            else:
                _exchange(target, new, old, replaces, last)
            sync(above)


def require_only(folder: Path, names: Collection[str]) -> None:
    """Checks that a folder contains only files with these names.

    Raises:
        InputError: If it contains others; the message names the first.
    """
    for entry in sorted(folder.iterdir()):
        if not entry.name.startswith(PREFIX) and not (entry.name in names and entry.is_file()):
            raise InputError(
                f"{folder} also contains {entry.name}, which is not replaced: move it, or give "
                "another folder"
            )


def _sync_all(folder: Path) -> None:
    for entry in folder.rglob("*"):
        sync(entry)
    sync(folder)


def _exchange(target: Path, new: Path, old: Path, replaces: Collection[str], last: str) -> None:
    """Moves the files ``replaces`` of ``target`` into ``old``, then those of ``new`` into it."""
    there = os.path.lexists
    goes = sorted((n for n in replaces if there(target / n)), key=lambda name: name != last)
    comes = sorted((entry.name for entry in new.iterdir()), key=lambda name: name == last)
    try:
        for name in goes:
            (target / name).rename(old / name)
        for name in comes:
            (new / name).rename(target / name)
    except BaseException:  # also an interrupt; the location of a file shows whether it was moved
        try:
            for name in reversed(comes):
                if not there(new / name):
                    (target / name).rename(new / name)
            for name in reversed(goes):
                if there(old / name):
                    (old / name).rename(target / name)
        except OSError as error:
            raise InputError(
                f"cannot write the folder {target}: {error.strerror}; the old files are in {old}"
            ) from error
        raise


def check_drawing(path: str | os.PathLike[str]) -> None:
    """Checks that the suffix of a file name is a drawing format.

    Raises:
        InputError: If it is not .png, .svg or .pdf.
    """
    if Path(path).suffix.lower() not in _DRAWINGS:
        raise InputError(f"cannot draw to {os.fspath(path)}: use the suffix .png, .svg or .pdf")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 1) -> None:
    """Writes a JSON file atomically; NaN and infinity are refused, as JSON has neither.

    File names that are not UTF-8 are written as JSON escapes and read back unchanged.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and _HALVES.search(text):
        text = _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    write_text(path, text + "\n")
