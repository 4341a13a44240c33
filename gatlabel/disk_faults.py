"""Errors in writing files, from any library, as one line that names the file and the reason."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatlabel.errors import InputError

PREFIX = ".gatlabel-"
"""Prefix of the names of temporary files and folders."""

_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENAMETOOLONG,
}  # fmt: skip
_OS_ERROR = re.compile(r"\(os error (\d+)\)")  # libraries written in Rust
# messages of torch and Pillow for failed writes, which do not state the reason
_UNEXPLAINED = re.compile(
    r"PytorchStreamWriter failed|unexpected pos \d+ vs|Parent directory .* does not exist"
    r"|error -?\d+ when writing image file"
)


class WriteError(InputError):
    """A file cannot be written; the message names it and the reason."""


@contextmanager
def write_errors(target: str | os.PathLike[str], what: str = "") -> Iterator[None]:
    """Converts errors in writing a file to a one-line error that names the file.

    Every ``OSError`` that does not name another file is converted, and other libraries' errors that
    are caused by one.

    Args:
        target: What is being written.
        what: Description of a target that is not a file (``"the folder "``).

    Raises:
        WriteError: If the block raises one of these.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = _own_fault(error, Path(target)) or disk_fault(error)
        if reason is None:
            raise
        raise WriteError(f"cannot write {what}{os.fspath(target)}: {reason}") from error


def disk_fault(error: BaseException) -> str | None:
    """Returns the reason why a file could not be written, or ``None`` for other exceptions.

    Args:
        error: An exception of any library; its cause and context are considered too.
    """
    parts: list[BaseException] = []
    part: BaseException | None = error
    while part is not None and part not in parts:
        parts.append(part)
        part = part.__cause__ or part.__context__
    for part in parts:
        found = _OS_ERROR.search(str(part))
        number = int(found[1]) if found else getattr(part, "errno", None)
        if number in _DISK:
            return os.strerror(number)
    if any(_UNEXPLAINED.search(str(part)) for part in parts):
        return "the file is incomplete; is the disk full?"
    return None


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Converts disk errors of any library, such as TensorBoard's, to a one-line error.

    Args:
        folder: The folder to which several libraries write.

    Raises:
        WriteError: If the block raises an error caused by the disk.
    """
    shown = threading.excepthook

    def show(failure: threading.ExceptHookArgs) -> None:
        # threads that write logs pass their errors on, and would also print a traceback
        if failure.exc_value is None or disk_fault(failure.exc_value) is None:
            shown(failure)

    threading.excepthook = show
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = disk_fault(error)
        if reason is None:
            raise
        raise WriteError(f"cannot write the run folder {folder}: {reason}") from error
    finally:
        threading.excepthook = shown


def _own_fault(error: Exception, target: Path) -> str | None:
    """Returns the reason if the error is about the target or a temporary file next to or in it."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
        named = [name for name in (error.filename, error.filename2) if isinstance(name, str)]
        if not named or any(_is_ours(Path(name), target) for name in named):
            return error.strerror or os.strerror(error.errno)
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object[error.start : error.end]!r} cannot be written as {error.encoding}"
    if isinstance(error, ValueError) and "null byte" in str(error):
        return str(error)
    return None


def _is_ours(named: Path, target: Path) -> bool:
    return (
        any(part.startswith(PREFIX) for part in named.parts)
        or (named.parent == target.parent and named.name.startswith(target.stem))
        or target.is_relative_to(named)
        or named == Path(os.path.realpath(target))
    )
