"""Writing files so that nothing is ever half-written and errors name the file."""

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
_HALVES = re.compile("[\ud800-\udfff]")  # of surrogate pairs, which UTF-8 cannot hold


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str],
    *,
    last: str,
    replaces: Collection[str] = (),
    others: bool = False,
) -> Iterator[Path]:
    """Yields a temporary folder and moves what was written there into place on success.

    A new folder appears in one step. One that stands there stays, as the working directory or
    mount point that it may be: files are moved out of it and into it, ``last`` being the first to
    go and the last to come, so that the folder is complete whenever it has that file. If the block
    raises, or the moving is interrupted, all is as it was.

    Args:
        path: Where the files are to stand; missing folders are made.
        last: Name of the file that makes the folder complete.
        replaces: Names of files that may be replaced.
        others: Whether the folder may hold other things, which stay.

    Raises:
        InputError: If a file stands there, the folder holds other things and ``others`` is off, or
            it cannot be made or written to.
    """
    with write_errors(path, "the folder "):
        target = Path(os.path.realpath(path))  # a link stays a link, to a folder that is new
        if os.path.lexists(target) and not target.is_dir():
            raise InputError(f"cannot write the folder {target}: there is a file of that name")
        target.parent.mkdir(parents=True, exist_ok=True)
        stands = target.is_dir()
        above = target if stands else target.parent  # a mount point is a file system of its own
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
            except WriteError as error:  # of a file that will not stay where it was written
                raise WriteError(str(error).replace(os.fspath(new), os.fspath(target))) from error
            _sync_all(new)
            check()  # a while has passed
            if not stands:
                new.rename(target)
            else:
                _exchange(target, new, old, replaces, last)
            sync(above)


def require_only(folder: Path, names: Collection[str]) -> None:
    """Checks that a folder holds no other things than files of these names.

    Raises:
        InputError: If it does; the message names the first.
    """
    for entry in sorted(folder.iterdir()):
        if not entry.name.startswith(PREFIX) and not (entry.name in names and entry.is_file()):
            raise InputError(
                f"{folder} also holds {entry.name}, which is not replaced: move it away, or give "
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
    except BaseException:  # an interrupt too; where a file lies says whether it was moved
        try:
            for name in reversed(comes):
                if not there(new / name):
                    (target / name).rename(new / name)
            for name in reversed(goes):
                if there(old / name):
                    (old / name).rename(target / name)
        except OSError as error:
            raise InputError(
                f"cannot write the folder {target}: {error.strerror}; what stood there is in {old}"
            ) from error
        raise


def check_drawing(path: str | os.PathLike[str]) -> None:
    """Checks that a file name says in which format to draw.

    Raises:
        InputError: If it ends in none of .png, .svg and .pdf.
    """
    if Path(path).suffix.lower() not in _DRAWINGS:
        raise InputError(f"cannot draw to {os.fspath(path)}: end the name in .png, .svg or .pdf")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 1) -> None:
    """Writes a JSON file atomically; NaN and infinity are refused, as JSON has neither.

    Names of files that are not UTF-8 stand as JSON's escapes, and read back as what they were.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and _HALVES.search(text):
        text = _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    write_text(path, text + "\n")
