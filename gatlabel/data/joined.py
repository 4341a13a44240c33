"""Concatenation of sources, and folders of images without labels."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gatlabel.data.file_images import FileImages
from gatlabel.data.image_files import FORMATS
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.targets import Targets

#: File name suffixes of images in a folder.
ENDINGS = frozenset(
    {f".{name.lower()}" for name in FORMATS} | {".jpg", ".jpe", ".tif", ".pgm", ".pbm", ".pnm"}
)


class JoinedImages(ImageSource):
    """The concatenated images of several sources with the same labels.

    Their groups are :func:`joined_groups`.

    Args:
        parts: At least one source.

    Raises:
        InputError: If the labels differ or an image is in two of them.
    """

    def __init__(self, parts: Sequence[ImageSource]) -> None:
        first = parts[0]
        for part in parts:
            if part.labels != first.labels:
                raise InputError("sources with different labels cannot be joined")
        ids = [name for part in parts for name in part.ids]
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise InputError(f"the image {twice} is in two of the sources to join")
        targets = torch.cat([part.targets.to_dense() for part in parts])
        super().__init__(first.labels, ids, targets, joined_groups(parts))
        self.parts = tuple(parts)
        self.starts = list(itertools.accumulate(map(len, parts), initial=0))

    def _part(self, index: int) -> tuple[ImageSource, int]:
        number = bisect.bisect_right(self.starts, index) - 1
        return self.parts[number], index - self.starts[number]

    def load(self, index: int) -> Tensor:
        """Returns one image; see :meth:`ImageSource.load`."""
        part, row = self._part(index)
        return part.load(row)

    def load_at_least(self, index: int, side: int) -> Tensor:
        """Returns one image; see :meth:`ImageSource.load_at_least`."""
        part, row = self._part(index)
        return part.load_at_least(row, side)

    def fingerprint(self) -> str:
        """Returns text that changes whenever an image of a part may have changed."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update(part.fingerprint().encode())
        return digest.hexdigest()

    def subset(self, indices: Sequence[int]) -> ImageSource:
        """Returns the images at the given positions, in that order, as a source."""
        rows = [int(index) for index in indices]
        pieces = [
            self.parts[number].subset([row - self.starts[number] for row in group])
            for number, group in _runs(rows, self.starts)
        ]
        if not pieces:
            return self.parts[0].subset([])
        joined: ImageSource = JoinedImages(pieces)
        return joined.with_targets(self.targets.take(rows))


def joined_groups(parts: Sequence[ImageSource]) -> list[str] | None:
    """Returns the group of every image of several sources, or ``None`` if none has groups.

    If some sources have groups, every image of the others is a group of its own.
    """
    given = [group for part in parts for group in part.groups or ()]
    if all(part.groups is None for part in parts):
        return None
    own = "image "
    while any(group.startswith(own) for group in given):
        own = f"_{own}"  # no image joins a group of the same name
    number = itertools.count()
    return [
        group
        for part in parts
        for group in (part.groups or [f"{own}{next(number)}" for _ in part.ids])
    ]


def _runs(rows: Sequence[int], starts: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Splits positions into runs that lie in one part each."""
    of_part = itertools.groupby(rows, key=lambda row: bisect.bisect_right(starts, row) - 1)
    return [(number, list(group)) for number, group in of_part]


def unlabelled_images(
    folder: str | os.PathLike[str], labels: LabelSet, *, without: Sequence[str] = ()
) -> FileImages:
    """Returns the images of a folder and its subfolders, with all labels unknown.

    Args:
        folder: The folder. Hidden files and files without an image suffix are omitted.
        labels: The L labels.
        without: Paths of images to omit, such as labelled ones.

    Raises:
        InputError: If there is no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder of images")
    left_out = {os.path.realpath(path) for path in without}
    found = sorted(
        str(path)
        for path in root.absolute().rglob("*")
        if path.suffix.lower() in ENDINGS
        and not any(part.startswith(".") for part in path.relative_to(root.absolute()).parts)
        and path.is_file()
        and os.path.realpath(path) not in left_out
    )
    if not found:
        known = ", ".join(sorted(ENDINGS))
        raise InputError(f"{root}: contains no images (files that end in {known})")
    targets = Targets.of(torch.full((len(found), len(labels)), float(UNKNOWN)))
    return FileImages(root, labels, found, targets)
