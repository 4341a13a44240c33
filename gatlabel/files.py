"""Reading and writing files so that nothing is ever half-written and errors name the file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError


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
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder beside ``path`` and renames it into place on success.

    If the block raises, the temporary folder is removed and ``path`` is left as it was. A folder
    that stands there already is replaced as a whole; whether it may be is the caller's to ask.

    Args:
        path: Where the finished folder is to stand; missing parent folders are made.

    Raises:
        InputError: If a file stands there, or the folder cannot be made or moved into place.
    """
    target = Path(os.path.realpath(path))  # a link stays a link, to a folder that is new
    if target.exists() and not target.is_dir():
        raise InputError(f"cannot write the folder {target}: there is a file of that name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InputError(f"cannot write the folder {target}: {error.strerror}") from error
    new, old = place / "new", place / "old"
    try:
        new.mkdir()  # with the ordinary rights of folders; mkdtemp's are private
        yield new
        try:
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
        except OSError as error:
            raise InputError(f"cannot write the folder {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 1) -> None:
    """Writes a JSON file atomically; NaN and infinity are refused, as JSON has neither."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Reads a UTF-8 text file.

    Args:
        path: The file.
        what: What the file should be, in words, for the error message (``"label file"``).

    Raises:
        InputError: If the file is missing, is no file, or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"cannot read the {what} {os.fspath(path)}: {reason}") from error


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.
        what: What the file should be, in words, for the error message.

    Raises:
        InputError: If the file is missing or is not JSON; the message names file and line.
    """
    try:
        return json.loads(read_text(path, what))
    except json.JSONDecodeError as error:
        raise InputError(
            f"the {what} {os.fspath(path)} is not JSON: line {error.lineno}: {error.msg}"
        ) from error
