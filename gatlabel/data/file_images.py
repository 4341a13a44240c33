"""Images stored as files in a folder."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from gatlabel.data.decoding import decode_image
from gatlabel.data.image_files import MAX_PIXELS, reason_of, regular_file, shown_name
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets


class FileImages(ImageSource):
    """Labelled image files, decoded on access.

    Args:
        root: The folder that ``ids`` are relative to.
        labels: The L labels.
        ids: N paths relative to ``root`` (absolute paths are allowed).
        targets: ``(N, L)``; see :class:`~gatlabel.targets.Targets`.
        max_pixels: Maximum number of pixels of an image.
        groups: The group of each image, if known.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        labels: LabelSet,
        ids: Sequence[str],
        targets: Targets | ArrayLike,
        max_pixels: int = MAX_PIXELS,
        groups: Sequence[str] | None = None,
    ) -> None:
        super().__init__(labels, ids, targets, groups)
        self.root = Path(root)
        self.max_pixels = max_pixels

    def with_max_pixels(self, max_pixels: int) -> FileImages:
        """Returns the same images with another limit on their pixels."""
        other = copy.copy(self)
        other.max_pixels = max_pixels
        return other

    def path(self, index: int) -> Path:
        """Returns the path of the image file."""
        return self.root / self.ids[index]

    def load(self, index: int) -> Tensor:
        """Decodes one image in full; see :func:`~gatlabel.data.decoding.decode_image`."""
        return decode_image(self.path(index), max_pixels=self.max_pixels)

    def load_at_least(self, index: int, side: int) -> Tensor:
        """Decodes one image; a large JPEG at 1/2, 1/4 or 1/8 of its size if that suffices."""
        return decode_image(self.path(index), at_least=side, max_pixels=self.max_pixels)

    def fingerprint(self) -> str:
        """Returns a hash of the file contents, in order.

        Names and times are not included: a copy has the same hash, and a file changed with its old
        size and time restored has another. Reading and hashing take a small part of the decoding
        time.

        Raises:
            InputError: If a file cannot be read.
        """
        digest = hashlib.sha256()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for content in pool.map(self._content_hash, range(len(self))):
                digest.update(content)
        return digest.hexdigest()

    def _content_hash(self, index: int) -> bytes:
        path = self.path(index)
        try:
            with regular_file(path, self.max_pixels) as file:
                return hashlib.file_digest(file, "sha256").digest()
        except (OSError, ValueError) as error:
            reason = reason_of(error)
            raise InputError(f"cannot read the image {shown_name(path)}: {reason}") from error

    def subset(self, indices: Sequence[int]) -> FileImages:
        """Returns the images at the given positions, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        return FileImages(
            self.root,
            self.labels,
            [self.ids[row] for row in rows],
            self.targets.take(rows),
            self.max_pixels,
            None if self.groups is None else [self.groups[row] for row in rows],
        )

    def __repr__(self) -> str:
        return f"FileImages({len(self)} images below {self.root}, {len(self.labels)} labels)"
