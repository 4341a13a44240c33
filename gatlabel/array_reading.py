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
            objects, or unpacks to more than 4 GiB.
    """
    name = os.fspath(path)
    with opened(path, what) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size <= LARGEST:
                file.seek(0)
                with np.load(file, allow_pickle=False) as content:
                    return dict(content)
        except OSError as error:
            reason = error.strerror or "no npz file"
            raise InputError(f"cannot read the {what} {name}: {reason}") from error
        except Exception as error:  # zip, zlib and NumPy's headers have many ways to be wrong
            raise InputError(
                f"cannot read the {what} {name}: not an npz file of plain arrays (pickles are "
                "never opened)"
            ) from error
    raise InputError(f"cannot read the {what} {name}: it unpacks to {size / 1e9:.0f} GB")
