"""Labels by name, and the convention of target values that every part of the package shares.

Targets are arrays ``(N, L)``: ``1`` present, ``0`` absent, between them a soft label, ``-1``
unknown. Names, not positions, join targets, graphs, vectors, checkpoints and predictions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError, nearest
from gatlabel.files import read_text, write_text

PRESENT = 1.0
ABSENT = 0.0
UNKNOWN = -1.0


class LabelSet(Sequence[str]):
    """An ordered set of unique label names.

    Args:
        names: The names in order; each non-empty, without line breaks, none twice.

    Raises:
        InputError: If a name is empty, has a line break, is no string, or stands twice.

    Example:
        >>> labels = LabelSet(["cat", "dog", "sofa"])
        >>> labels.index("dog"), len(labels), "cow" in labels
        (1, 3, False)
    """

    def __init__(self, names: Iterable[str]) -> None:
        if isinstance(names, str):
            raise InputError(f"a LabelSet needs a list of names, not the string {names!r}")
        self.names: tuple[str, ...] = tuple(names)
        self._index: dict[str, int] = {}
        for position, name in enumerate(self.names):
            if not isinstance(name, str) or not name.strip() or "\n" in name:
                raise InputError(
                    f"label {position} is {name!r}: a name is non-empty text on one line"
                )
            if name in self._index:
                raise InputError(
                    f"label {name!r} stands twice, at {self._index[name]} and {position}"
                )
            self._index[name] = position

    @overload
    def __getitem__(self, item: int) -> str: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[str, ...]: ...
    def __getitem__(self, item: int | slice) -> str | tuple[str, ...]:
        return self.names[item]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSet) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:4]) + (", …" if len(self) > 4 else "")
        return f"LabelSet({len(self)}: {shown})"

    def index(self, name: str, start: int = 0, stop: int | None = None) -> int:
        """Returns the position of a name.

        Raises:
            InputError: If there is no such label; the message gives the nearest name.
        """
        if name not in self._index:
            raise InputError(f"unknown label {name!r}{nearest(name, self.names)}")
        return self._index[name]

    def positions(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Returns the position in this set of each of ``names``, as an int64 array."""
        return np.array([self.index(name) for name in names], dtype=np.int64)

    def require_same_names(self, other: Iterable[str], what: str) -> NDArray[np.int64]:
        """Aligns another collection of names with this set.

        Args:
            other: Names that must be the same set, in any order.
            what: Whose names they are, for the error message (``"the graph"``).

        Returns:
            For each label of this set its position in ``other``: int64 ``(L,)``, so that
            ``rows_of_other[result]`` is in the order of this set.

        Raises:
            InputError: If names are missing or extra; the message lists them.
        """
        theirs = LabelSet(other)
        missing = [name for name in self if name not in theirs]
        extra = [name for name in theirs if name not in self]
        if missing or extra:
            parts = [f"missing: {_shown(missing)}"] if missing else []
            parts += [f"extra: {_shown(extra)}"] if extra else []
            raise InputError(f"the labels of {what} do not match; {'; '.join(parts)}")
        return theirs.positions(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one name a line, as ``classes.txt`` files have it."""
        write_text(path, "".join(f"{name}\n" for name in self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LabelSet:
        """Reads a text file with one name a line; blank lines are passed over.

        Raises:
            InputError: If the file cannot be read, is empty, or names a label twice.
        """
        lines = (line.strip() for line in read_text(path, "label file").splitlines())
        names = [line for line in lines if line]
        if not names:
            raise InputError(f"the label file {os.fspath(path)} names no label")
        try:
            return cls(names)
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error}") from error


def _shown(names: Sequence[str], most: int = 10) -> str:
    text = ", ".join(repr(name) for name in names[:most])
    return text + (f" and {len(names) - most} more" if len(names) > most else "")


def check_targets(targets: NDArray[np.floating], labels: Sequence[str], first_row: int = 0) -> None:
    """Checks that targets follow the convention: in [0, 1], or -1 for unknown.

    Args:
        targets: ``(N, L)``.
        labels: The L label names.
        first_row: What the first row is called in messages, for rows that are part of a whole.

    Raises:
        InputError: If the shape does not fit the labels or a value is out of range; the
            message names row and label.
    """
    if targets.ndim != 2 or targets.shape[1] != len(labels):
        raise InputError(
            f"targets have shape {tuple(targets.shape)}, expected (N, {len(labels)}): "
            "one column per label"
        )
    bad = ~(((targets >= ABSENT) & (targets <= PRESENT)) | (targets == UNKNOWN))
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"target {targets[row, column]} in row {first_row + row}, label {labels[column]!r}: "
            "values are 0 to 1, or -1 for unknown"
        )
