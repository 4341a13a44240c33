"""Labels by name, and the convention of target values in the whole package.

Targets are arrays ``(N, L)``: ``1`` present, ``0`` absent, in between soft, ``-1`` unknown.
Targets, graphs, vectors, checkpoints and predictions are matched by label names, not by positions.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError, nearest
from gatlabel.files import read_text, write_text
from gatlabel.values import shown

PRESENT = 1.0
ABSENT = 0.0
UNKNOWN = -1.0

# Control characters, line and paragraph separators, byte order marks and unpaired surrogates:
# files of one name per line, CSV and UTF-8 cannot represent them, or not reversibly.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def check_name(name: object) -> str:
    """Returns a label name that all file formats can store and restore.

    Raises:
        InputError: If it is not text, empty, starts or ends with a blank, or contains a control
            character, a line separator or an unpaired surrogate.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{shown(name)} is not a label name: expected non-empty text on one line")
    if found := _UNWRITABLE.search(name):
        raise InputError(
            f"the label name {shown(name)} contains the character U+{ord(found[0]):04X}, which "
            "label files cannot represent: expected text on one line"
        )
    if name != name.strip():
        raise InputError(f"the label name {shown(name)} starts or ends with a blank: remove it")
    return name


class LabelSet(Sequence[str]):
    """An ordered set of unique label names.

    Args:
        names: The names in order, unique and valid by :func:`check_name`.

    Raises:
        InputError: If a name is invalid or appears twice, possibly in another Unicode form
            (composed and decomposed accents look the same).

    Example:
        >>> labels = LabelSet(["cat", "dog", "sofa"])
        >>> labels.index("dog"), len(labels), "cow" in labels
        (1, 3, False)
    """

    def __init__(self, names: Iterable[str]) -> None:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InputError(f"a LabelSet needs a list of names, not {shown(names)}")
        self.names: tuple[str, ...] = tuple(names)
        self._index: dict[str, int] = {}
        for position, name in enumerate(self.names):
            try:
                check_name(name)
            except InputError as error:
                raise InputError(f"label {position}: {error}") from error
            if name in self._index:
                raise InputError(
                    f"label {name!r} appears twice, at {self._index[name]} and {position}"
                )
            self._index[name] = position
        self._refuse_twins()

    def _refuse_twins(self) -> None:
        composed: dict[str, int] = {}
        for position, name in enumerate(self.names):
            if name.isascii():
                continue
            first = composed.setdefault(unicodedata.normalize("NFC", name), position)
            if first != position:
                raise InputError(
                    f"the labels {self.names[first]!a} and {name!a}, at {first} and "
                    f"{position}, are one name in two Unicode forms: use one form"
                )

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
            InputError: If there is no such label; the message names the nearest one.
        """
        if name not in self._index:
            raise InputError(f"unknown label {name!r}{self.hint(name)}")
        return self._index[name]

    def hint(self, name: str) -> str:
        """Returns ``"; did you mean 'x'?"`` for an unknown name, or an empty text."""
        composed = unicodedata.normalize("NFC", name)
        for known in self.names:
            if not known.isascii() and unicodedata.normalize("NFC", known) == composed:
                return (
                    f"; {name!a} and the label {known!a} are one name in two Unicode "
                    "forms: use one form"
                )
        return nearest(name, self.names)

    def positions(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Returns the position in this set of each of ``names``, as an int64 array."""
        return np.array([self.index(name) for name in names], dtype=np.int64)

    def require_same_names(self, other: Iterable[str], what: str) -> NDArray[np.int64]:
        """Aligns another collection of names with this set.

        Args:
            other: Names that must be the same set, in any order.
            what: Owner of the other names, for the error message (``"the graph"``).

        Returns:
            The position in ``other`` of each label of this set: int64 ``(L,)``, so that
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
        """Writes one name per line, as in ``classes.txt`` files."""
        write_text(path, "".join(f"{name}\n" for name in self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LabelSet:
        """Reads a text file with one name per line; surrounding blanks are removed.

        Blank lines are skipped.

        Raises:
            InputError: If the file cannot be read or is empty, or a name is invalid or appears
                twice; the message names the line.
        """
        where = os.fspath(path)
        lines: dict[str, int] = {}
        # not splitlines(), which also splits at separators within names
        for number, line in enumerate(read_text(path, "label file").split("\n"), 1):
            name = line.strip()
            if not name:
                continue
            try:
                check_name(name)
            except InputError as error:
                raise InputError(f"{where}, line {number}: {error}") from error
            if name in lines:
                raise InputError(
                    f"{where}, line {number}: label {name!r} appears twice, first in line "
                    f"{lines[name]}"
                )
            lines[name] = number
        if not lines:
            raise InputError(f"the label file {where} contains no labels")
        try:
            return cls(lines)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error


def labels_of(value: Any) -> LabelSet:
    """Returns the label names of a list in a JSON file.

    Raises:
        InputError: If it is not a non-empty list of names.
    """
    if not isinstance(value, list) or not value:
        raise InputError(f"labels={shown(value)}: give a list of names")
    return LabelSet(value)


def first_difference(theirs: Sequence[Any], ours: Sequence[Any]) -> str:
    """Describes the first difference between two lists of labels."""
    pairs = enumerate(zip(theirs, ours, strict=False))
    place = next((k for k, (one, other) in pairs if one != other), None)
    if place is None:
        return f"{len(theirs)} labels there, {len(ours)} here"
    alike = set(map(str, theirs)) == set(map(str, ours))
    order = ", the same labels in another order" if alike and len(theirs) == len(ours) else ""
    return f"number {place} is {shown(theirs[place])} there and {shown(ours[place])} here{order}"


def _shown(names: Sequence[str], most: int = 10) -> str:
    text = ", ".join(repr(name) for name in names[:most])
    return text + (f" and {len(names) - most} more" if len(names) > most else "")
