"""Reading of untrusted npz and npy files: plain arrays of limited size, never unpickled."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.reading import LARGEST, opened


def read_npz(path: str | os.PathLike[str], what: str) -> dict[str, NDArray[Any]]:
    """Reads all arrays of an npz file, without unpickling.

    Args:
        path: The file.
        what: Description of the file for the error message.

    Raises:
        InputError: If the file is missing, not a regular file or not an npz file, contains pickled
            objects or two arrays with one name, or unpacks to more than 4 GiB.
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
            reason = error.strerror or "not an npz file"
            raise InputError(f"cannot read the {what} {name}: {reason}") from error
        except Exception as error:  # zip, zlib and NumPy raise various errors
            raise InputError(
                f"cannot read the {what} {name}: not an npz file of plain arrays (pickles are "
                "never opened)"
            ) from error
    raise InputError(f"cannot read the {what} {name}: it unpacks to {size / 1e9:.0f} GB")


def map_npy(path: str | os.PathLike[str], what: str) -> NDArray[Any]:
    """Maps the array of an npy file into memory, read-only, without unpickling.

    Args:
        path: The file.
        what: Description of the file for the error message.

    Raises:
        InputError: If the file is missing, or is not an npy file of a plain array.
    """
    name = os.fspath(path)
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise InputError(f"cannot read the {what} {name}: {error.strerror}") from error
    except Exception as error:  # the header is parsed as Python, which raises various errors
        raise InputError(f"cannot read the {what} {name}: not an npy file") from error
    return array


def _arrays(content: np.lib.npyio.NpzFile, name: str) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an archive; duplicates are refused, as the last would win."""
    twice = sorted({key for key in content.files if content.files.count(key) > 1})
    if twice:
        raise InputError(f"{name} contains two arrays named {twice[0]!r}")
    arrays = dict(content)
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # other members come as bytes
            raise InputError(f"{name}: {key!r} is not an array")
    return arrays
