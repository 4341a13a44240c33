"""Reading npz archives of others: plain arrays of bounded size, never unpickled."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.reading import LARGEST, opened


def read_npz(path: str | os.PathLike[str], what: str) -> dict[str, NDArray[Any]]:
    """Reads all arrays of an npz file, never unpickling.

    Args:
        path: The file.
        what: What the file should be, in words, for the error message.

    Raises:
        InputError: If the file is missing, is no regular file, is no npz file, holds pickled
            objects or two arrays of one name, or unpacks to more than 4 GiB.
    """
    name = os.fspath(path)
    with opened(path, what) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size <= LARGEST:
                file.seek(0)
                with np.load(file, allow_pickle=False) as content:
                    return _arrays(content, name)
        except InputError:
            raise
        except OSError as error:
            reason = error.strerror or "no npz file"
            raise InputError(f"cannot read the {what} {name}: {reason}") from error
        except Exception as error:  # zip, zlib and NumPy's headers have many ways to be wrong
            raise InputError(
                f"cannot read the {what} {name}: not an npz file of plain arrays (pickles are "
                "never opened)"
            ) from error
    raise InputError(f"cannot read the {what} {name}: it unpacks to {size / 1e9:.0f} GB")


def _arrays(content: np.lib.npyio.NpzFile, name: str) -> dict[str, NDArray[Any]]:
    """Takes the arrays out of an archive; a second one would silently replace the first."""
    twice = sorted({key for key in content.files if content.files.count(key) > 1})
    if twice:
        raise InputError(f"{name} holds two arrays named {twice[0]!r}")
    arrays = dict(content)
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # what is no array comes as bytes
            raise InputError(f"{name}: {key!r} is no array")
    return arrays
