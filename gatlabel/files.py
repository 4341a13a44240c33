"""Writing files so that nothing is ever half-written and errors name the file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError
from gatlabel.reading import read_json as read_json
from gatlabel.reading import read_text as read_text


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it into place on success.

    If the block raises, the temporary file is removed and ``path`` is left as it was. The
    temporary name keeps the suffix of ``path``, since many writers choose the format by it.

    Args:
        path: Where the finished file is to stand; missing parent folders are made.

    Raises:
        InputError: If the path is a folder, or its folder cannot be made or written to.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder, give the name of a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent
        )
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; results are ordinary files
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, last: str, replaces: Collection[str] = ()
) -> Iterator[Path]:
    """Yields a temporary folder and moves what was written there into place on success.

    A new folder appears in one step. One that stands there stays, as the working directory or
    mount point that it may be: files are moved out of it and into it, ``last`` being the first to
    go and the last to come, so that the folder is complete whenever it has that file. If the block
    raises, or the moving is interrupted, all is as it was.

    Args:
        path: Where the files are to stand; missing folders are made.
        last: Name of the file that makes the folder complete.
        replaces: Names of files that may be replaced; the folder may hold no others.

    Raises:
        InputError: If a file stands there, the folder holds anything else than ``replaces``, or it
            cannot be made or written to.
    """
    target = Path(os.path.realpath(path))  # a link stays a link, to a folder that is new
    if target.exists() and not target.is_dir():
        raise InputError(f"cannot write the folder {target}: there is a file of that name")
    stands = target.is_dir()
    if stands:
        require_only(target, replaces)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        above = target if stands else target.parent  # a mount point is a file system of its own
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=above))
    except OSError as error:
        raise InputError(f"cannot write the folder {target}: {error.strerror}") from error
    new, old = place / "new", place / "old"
    try:
        new.mkdir()  # with the ordinary rights of folders; mkdtemp's are private
        old.mkdir()
        yield new
        try:
            if stands:
                require_only(target, replaces, besides=place)  # a while has passed
                _exchange(target, new, old, replaces, last)
            else:
                new.rename(target)
        except OSError as error:
            kept = f"; what stood there is in {old}" if _holds_any(old) else ""
            raise InputError(f"cannot write the folder {target}: {error.strerror}{kept}") from error
    finally:
        if not (_holds_any(new) and _holds_any(old)):  # half-way, and no way back
            shutil.rmtree(place, ignore_errors=True)


def require_only(folder: Path, names: Collection[str], besides: Path | None = None) -> None:
    """Checks that a folder holds no other things than files of these names.

    Raises:
        InputError: If it does; the message names the first.
    """
    for entry in sorted(folder.iterdir()):
        if entry != besides and not (entry.name in names and entry.is_file()):
            raise InputError(
                f"{folder} also holds {entry.name}, which is not replaced: move it away, or give "
                "another folder"
            )


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
        for name in reversed(comes):
            if not there(new / name):
                (target / name).rename(new / name)
        for name in reversed(goes):
            if there(old / name):
                (old / name).rename(target / name)
        raise


def _holds_any(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 1) -> None:
    """Writes a JSON file atomically; NaN and infinity are refused, as JSON has neither."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
