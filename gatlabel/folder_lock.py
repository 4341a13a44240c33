"""A lock on a folder for one run at a time, in this process or another."""

from __future__ import annotations

import errno
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from gatlabel.disk_faults import write_errors
from gatlabel.errors import InputError

LOCK = ".lock"
"""Name of the locked file in the folder; it is removed with the lock."""

_BUSY = {errno.EACCES, errno.EAGAIN}
_held: set[tuple[int, int]] = set()  # device and inode of the folders locked by this process
_guard = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child process holds no locks
    os.register_at_fork(after_in_child=_held.clear)


class FolderLock:
    """Locks a folder from ``acquire`` to ``release``, or in a ``with`` block.

    The system releases the lock when the process ends for any reason. Record locks of the system
    exclude other processes; worker processes do not inherit them. A table excludes other calls in
    this process, and is the only protection if the file system has no locks.

    Args:
        folder: The folder, which must exist.

    Attributes:
        was_left: Whether the lock file existed already, because the last run was killed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.was_left = False
        self._file = folder / LOCK
        self._handle: int | None = None
        self._key: tuple[int, int] | None = None

    def acquire(self) -> Self:
        """Takes the lock.

        Raises:
            InputError: If another run uses the folder, or the lock file cannot be written.
        """
        with write_errors(self._file):
            found = self.folder.stat()
            key = (found.st_dev, found.st_ino)
            with _guard:
                if key in _held:
                    raise self._busy(os.getpid())
                self._handle = self._lock_file()
                self._key = key
                _held.add(key)
        return self

    def release(self) -> None:
        """Releases the folder and removes the lock file."""
        with _guard:
            if self._handle is None or self._key not in _held:  # a forked child releases nothing
                return
            _held.remove(self._key)
            if _is_file_of(
                self._handle, self._file
            ):  # not if the folder was replaced in the meantime
                with suppress(OSError):
                    self._file.unlink()
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(self, *failure: object) -> None:
        self.release()

    def _lock_file(self) -> int:
        while True:
            self.was_left = self._file.exists()
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if not _lock(handle):
                    raise self._busy(_process_in(handle))
                if _is_file_of(
                    handle, self._file
                ):  # otherwise its holder has just removed it: try again
                    with suppress(OSError):  # the process id is informative only
                        os.truncate(handle, 0)
                        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _busy(self, process: int | None) -> InputError:
        who = f" (process {process})" if process else ""
        return InputError(
            f"{self.folder} is in use by another run{who}: wait for it, or give another folder"
        )


def _lock(handle: int) -> bool:
    """Whether the lock was free, or there are no locks on this file system."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY
    return True


def _is_file_of(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _process_in(handle: int) -> int | None:
    text = os.pread(handle, 32, 0).strip()
    return int(text) if text.isdigit() else None
