"""Pictures that lie as files in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.data.decoding import decode_image
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet


class FileImages(ImageSource):
    """Labelled picture files, decoded when asked for.

    Args:
        root: The folder that ``ids`` are relative to.
        labels: The L labels.
        ids: N paths relative to ``root`` (an absolute path stands for itself).
        targets: float32 ``(N, L)``, see :class:`~gatlabel.data.source.ImageSource`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        labels: LabelSet,
        ids: Sequence[str],
        targets: NDArray[np.float32],
    ) -> None:
        super().__init__(labels, ids, targets)
        self.root = Path(root)

    def path(self, index: int) -> Path:
        """Returns where the picture's file lies."""
        return self.root / self.ids[index]

    def load(self, index: int) -> Tensor:
        """Decodes one picture in full; see :func:`~gatlabel.data.decoding.decode_image`."""
        return decode_image(self.path(index))

    def load_at_least(self, index: int, side: int) -> Tensor:
        """Decodes one picture; a large JPEG at 1/2, 1/4 or 1/8 of its size where that suffices."""
        return decode_image(self.path(index), at_least=side)

    def fingerprint(self) -> str:
        """Returns a hash of the files' paths, sizes and times of change.

        Raises:
            InputError: If a file is missing; it is named.
        """
        digest = hashlib.sha256()
        for index in range(len(self)):
            path = self.path(index)
            try:
                status = path.stat()
            except OSError as error:
                raise InputError(f"cannot read the picture {path}: {error.strerror}") from error
            digest.update(f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def subset(self, indices: Sequence[int]) -> FileImages:
        """Returns the pictures at the given positions, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        return FileImages(
            self.root, self.labels, [self.ids[row] for row in rows], self.targets[rows]
        )

    def __repr__(self) -> str:
        return f"FileImages({len(self)} pictures below {self.root}, {len(self.labels)} labels)"
