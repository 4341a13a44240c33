"""Writing of large files that several processes may need: one writes, the others wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # systems without such locks: two writers may duplicate the work
    fcntl = None  # type: ignore[assignment]


@contextmanager
def sole_writer(path: Path, made: Callable[[], bool]) -> Iterator[BinaryIO | None]:
    """Yields an empty file next to ``path`` and renames it to ``path`` at the end, synced.

    Later processes wait. If the block raises, the file is removed and ``path`` is not changed. A
    killed process leaves an unlocked file behind: see :func:`remove_leftovers`.

    Args:
        path: Path of the finished file; its folder is created.
        made: Whether ``path`` is finished. Called once this process holds the lock; if true,
            ``None`` is yielded.

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
        with suppress(OSError):  # on a full disk it fails again; already reported
            file.close()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Removes partial files of killed processes that match ``pattern``."""
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
    """Opens a file for appending and locks it until it is closed; waits for other holders.

    The holder of the lock may rename or remove the file; those that wait then open another.

    Raises:
        OSError: If the file cannot be opened.
    """
    while True:
        file = path.open("ab")  # does not truncate the file of another process
        try:
            if _lock(file, wait=True) and _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the former holder has moved or removed it


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
