"""Writing one large file that several processes may want at once: one writes, the others wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # a system without such locks: two writers would do the same work twice
    fcntl = None  # type: ignore[assignment]


@contextmanager
def sole_writer(path: Path, made: Callable[[], bool]) -> Iterator[BinaryIO | None]:
    """Yields an empty file beside ``path`` and puts it in its place at the end, whole and synced.

    Whoever comes second waits. If the block raises, the file is removed and ``path`` stays as it
    was. A killed process leaves the file unlocked: see :func:`remove_leftovers`.

    Args:
        path: Where the finished file is to stand; its folder is made.
        made: Whether ``path`` is finished. Asked once it is this process's turn; if so, ``None`` is
            yielded.

    Raises:
        OSError: If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    file = open_locked(partial)
    try:
        if made():
            partial.unlink()
            yield None
            return
        file.truncate()
        yield file
        file.flush()
        os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):  # on a full disk it fails again, and has been reported
            file.close()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Removes what killed processes left of files that match ``pattern``."""
    found: list[Path] = []
    with suppress(OSError):
        found += folder.glob(f".{pattern}.partial")
    for partial in found:
        with suppress(OSError), partial.open("rb") as file:
            if _lock(file, wait=False) and _is_at(file, partial):
                partial.unlink()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def open_locked(path: Path) -> BinaryIO:
    """Opens a file for appending and locks it until it is closed; waits while another has it.

    Whoever has it locked may rename or remove it: those that wait then open another.

    Raises:
        OSError: If the file cannot be opened.
    """
    while True:
        file = path.open("ab")  # does not empty what another process is writing
        try:
            if _lock(file, wait=True) and _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the process that had it has finished, and has moved or removed it


def _lock(file: BinaryIO, *, wait: bool) -> bool:
    if fcntl is None:
        return wait
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return wait
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
