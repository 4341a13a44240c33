"""Arrays in npz files, and regular files in general: read so that every fault names the file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError, first_line


@contextmanager
def opened(path: str | os.PathLike[str], what: str) -> Iterator[BinaryIO]:
    """Opens a regular file that may be too large to read at once.

    Args:
        path: The file.
        what: What the file should be, in words, for the error message.

    Raises:
        InputError: If there is no such file, it is a folder, a pipe or a device, or it cannot be
            read.
    """
    name = os.fspath(path)
    try:
        status = Path(path).stat()  # before it is opened: a pipe would wait for its writer
    except ValueError as error:
        raise InputError(f"cannot read the {what} {name}: no file can have this name") from error
    except OSError as error:
        raise InputError(f"cannot read the {what} {name}: {error.strerror or error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"cannot read the {what} {name}: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"cannot read the {what} {name}: give a regular file")
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot read the {what} {name}: {error.strerror or error}") from error


def read_npz(path: str | os.PathLike[str], what: str) -> Mapping[str, NDArray[Any]]:
    """Reads all arrays of an npz file, never unpickling.

    Args:
        path: The file.
        what: What the file should be, in words, for the error message.

    Raises:
        InputError: If the file is missing, is no npz file, names an array twice, or holds pickled
            objects.
    """
    name = os.fspath(path)
    with opened(path, what) as file:
        try:
            return _arrays(file, name, what)
        except InputError:
            raise
        except Exception as error:  # a damaged archive raises what zipfile, zlib or NumPy meet
            raise InputError(
                f"cannot read the {what} {name}: not an npz file of plain arrays (pickles are "
                f"never opened): {first_line(error)}"
            ) from error


def _arrays(file: BinaryIO, name: str, what: str) -> dict[str, NDArray[Any]]:
    with np.load(file, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{name} holds one array, not an npz archive of {what}")
        twice = sorted({key for key in archive.files if archive.files.count(key) > 1})
        if twice:
            raise InputError(f"{name} holds two arrays named {twice[0]!r}")
        arrays = {key: archive[key] for key in archive.files}
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a part that is no array comes as bytes
            raise InputError(f"{name}: {key!r} is no array")
    return arrays
