"""Atomic file writing: a temporary file is written, synced, and renamed over its target."""

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

_LONGEST_SUFFIX = 32  # bytes; longer "suffixes" are not file formats
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # from file systems without sync


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, make_folder: bool = True) -> Iterator[Path]:
    """Yields a temporary path next to ``path`` and renames it into place on success.

    The file is synced before the rename and its folder after it, so that a crash leaves the old
    file or the new one. A symbolic link is kept and its target is replaced. An existing file keeps
    its permissions. If the block raises, the temporary file is removed and ``path`` is not changed.
    The temporary name keeps the suffix of ``path``, since many writers choose the format by it.

    Args:
        path: Path of the finished file.
        make_folder: Whether to create missing parent folders. False for the files of a run: a
            folder that was deleted in the meantime must not reappear with one file in it.

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
                temporary.chmod(wanted)  # safetensors replaces the given file by a private one
            sync(temporary)
            temporary.replace(place)
        sync(place.parent)


@contextmanager
def temporary_folder(above: Path) -> Iterator[Path]:
    """Yields a new folder below ``above``, and removes it with its contents.

    It is kept if its folders ``new`` and ``old`` both have contents: then files are being moved
    through them, and it has the only copy of some.
    """
    with _temporary(above, "", Path.mkdir, _remove_folder) as place:
        yield place


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files and folders of killed writers, in this folder only.

    Writers lock their temporary files, so those of running writers are kept. Files that a killed
    writer had moved out of the folder are restored.
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
                    if _is_half_way(place):  # descriptions last: they mark a folder as complete
                        for old in sorted(place.glob("old/*"), key=lambda p: p.suffix == ".json"):
                            old.replace(folder / old.name)
                    shutil.rmtree(place)
                finally:
                    os.close(lock)


def sync(path: Path) -> None:
    """Syncs a file, or the entries of a folder, to the disk if the file system supports it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        # Windows cannot open folders, and a folder may be writable but not listable
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
    """Returns the permissions of an existing file, or ``None``."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise WriteError(f"cannot write {target}: it is a folder, give the name of a file")
    if not stat.S_ISREG(found.st_mode):  # renaming over a device would destroy it
        raise WriteError(f"cannot write {target}: it is not a regular file")
    return stat.S_IMODE(found.st_mode)


def _remove_folder(place: Path) -> None:
    if not _is_half_way(place):
        shutil.rmtree(place)


def _is_half_way(place: Path) -> bool:
    return any(place.glob("new/*")) and any(place.glob("old/*"))


def _make_file(path: Path) -> None:
    # the system applies the umask; reading it would require setting it for all threads
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
        with suppress(OSError):  # gone, or the failing disk fails again
            remove(place)


def _lock(path: Path) -> int | None:
    """Locks a temporary file; ``None`` if another process has it, or locks are not supported."""
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
