"""The one way to write a file: beside its target, synced to the disk, then renamed over it."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gatlabel.disk_faults import PREFIX, WriteError, write_errors

_LONGEST_SUFFIX = 32  # bytes; a longer "suffix" is no format that a library would choose by
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # of file systems that cannot


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, make_folder: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it into place on success.

    The file is synced before the rename and its folder after it, so that a crash leaves the old
    file or the new one. A link stays a link, to a file that is new. An existing file keeps its
    rights. If the block raises, the temporary file is removed and ``path`` is left as it was. The
    temporary name keeps the suffix of ``path``, since many writers choose the format by it.

    Args:
        path: Where the finished file is to stand.
        make_folder: Whether missing parent folders are made. Off for the files of a run: a folder
            that was deleted meanwhile shall not come back with one file in it.

    Raises:
        WriteError: If the file cannot be written, by this function or in the block; the message
            names ``path`` and the reason.
    """
    target = Path(path)
    with write_errors(target):
        rights = _rights(target)
        place = Path(os.path.realpath(target)) if target.is_symlink() else target
        if make_folder:
            place.parent.mkdir(parents=True, exist_ok=True)
        suffix = place.suffix if len(os.fsencode(place.suffix)) <= _LONGEST_SUFFIX else ""
        with _temporary(place.parent, suffix, _make_file, Path.unlink) as temporary:
            wanted = _rights(temporary) if rights is None else rights
            yield temporary
            if wanted is not None and _rights(temporary) != wanted:
                temporary.chmod(wanted)  # safetensors puts a private file in place of the given one
            sync(temporary)
            temporary.replace(place)
        sync(place.parent)


@contextmanager
def temporary_folder(above: Path) -> Iterator[Path]:
    """Yields a new folder below ``above``, and removes it with all that is in it.

    It stays if both its folders ``new`` and ``old`` hold something: files are being moved through
    them, and it holds the only copy of some.
    """
    with _temporary(above, "", Path.mkdir, _remove_folder) as place:
        yield place


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files and folders of writers that were killed, in this folder only.

    A writer holds a lock on its temporary, so that those of living ones stay. What one had moved
    out of the folder when it was killed is put back.
    """
    with suppress(OSError):
        for place in [entry for entry in folder.iterdir() if entry.name.startswith(PREFIX)]:
            with suppress(OSError):
                lock = _lock(place)
                if lock is None:
                    continue
                try:
                    if not place.is_dir():
                        place.unlink()
                        continue
                    if _is_half_way(place):  # descriptions last: with them a folder is complete
                        for old in sorted(place.glob("old/*"), key=lambda p: p.suffix == ".json"):
                            old.replace(folder / old.name)
                    shutil.rmtree(place)
                finally:
                    os.close(lock)


def sync(path: Path) -> None:
    """Brings a file or the names in a folder to the disk, where the file system can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        # Windows opens no folders, and one may be written to without the right to list it
        if path.is_dir() and error.errno in (errno.EACCES, errno.EPERM):
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


def _rights(target: Path) -> int | None:
    """The rights of the file that stands there, if there is one."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise WriteError(f"cannot write {target}: it is a folder, give the name of a file")
    if not stat.S_ISREG(found.st_mode):  # to rename over a device would destroy it
        raise WriteError(f"cannot write {target}: it is no ordinary file")
    return stat.S_IMODE(found.st_mode)


def _remove_folder(place: Path) -> None:
    if not _is_half_way(place):
        shutil.rmtree(place)


def _is_half_way(place: Path) -> bool:
    return any(place.glob("new/*")) and any(place.glob("old/*"))


def _make_file(path: Path) -> None:
    # the system subtracts the umask by itself; to read it would take setting it, for all threads
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))


@contextmanager
def _temporary(
    folder: Path, suffix: str, make: Callable[[Path], None], remove: Callable[[Path], None]
) -> Iterator[Path]:
    while True:
        place = folder / f"{PREFIX}{secrets.token_hex(4)}{suffix}"
        with suppress(FileExistsError):
            make(place)
            break
    lock = None
    try:
        lock = _lock(place)
        yield place
    finally:
        if lock is not None:
            os.close(lock)
        with suppress(OSError):  # gone, or the disk that failed fails again
            remove(place)


def _lock(path: Path) -> int | None:
    """Takes the lock on a temporary; ``None`` if another has it, or there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
