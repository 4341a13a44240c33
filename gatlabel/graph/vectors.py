"""Label vectors from files and mappings, matched to label names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.graph.vector_files import Vector, read_npz_vectors, read_text_vectors
from gatlabel.labels import LabelSet


@dataclass(frozen=True)
class VectorReport:
    """Which labels have a vector.

    Attributes:
        found: Labels all of whose words have a vector.
        partial: Labels some of whose words have a vector, with the missing words.
        missing: Labels without a vector.
    """

    found: tuple[str, ...]
    partial: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        total = len(self.found) + len(self.partial) + len(self.missing)
        text = f"{len(self.found) + len(self.partial)} of {total} labels have a vector"
        if self.missing:
            text += f"; not found: {', '.join(self.missing)}"
        if self.partial:
            lacking = (f"{name} (without {', '.join(ws)})" for name, ws in self.partial.items())
            text += f"; from some of their words: {', '.join(lacking)}"
        return text


def load_vectors(
    path: str | os.PathLike[str], names: Iterable[str]
) -> tuple[NDArray[np.float32], VectorReport]:
    """Reads label vectors from a file.

    A name is looked up unchanged, then in lower case, then with ``_`` and ``-`` exchanged for
    blanks and vice versa. A name of several words that has no vector itself gets the mean of the
    vectors of its words.

    Args:
        path: ``.npz`` with the arrays ``names`` and ``vectors``, or text in GloVe's format: one
            word and F numbers per line, separated by blanks. A header ``count F``, as in word2vec
            files, is skipped. Only the words needed are kept in memory. If a word appears twice,
            the first vector is used.
        names: The L label names.

    Returns:
        float32 ``(L, F)``, zeros for labels not found, and the report.

    Raises:
        InputError: If the file cannot be read, a vector is malformed, or no label is found.
    """
    labels = LabelSet(names)
    wanted = {key for name in labels for key in _keys(name)}
    if Path(path).suffix.lower() == ".npz":
        table = read_npz_vectors(path, wanted)
    else:
        table = read_text_vectors(path, wanted)
    return _matched(labels, table, os.fspath(path))


def vectors_by_name(
    vectors: Mapping[str, Any], names: Iterable[str]
) -> tuple[NDArray[np.float32], VectorReport]:
    """Looks up label vectors in a mapping; names are matched as in :func:`load_vectors`.

    Raises:
        InputError: If no label is found or the vectors differ in length.
    """
    table: dict[str, Vector] = {}
    for name, vector in vectors.items():
        try:
            row = np.asarray(vector, dtype=np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"the label vector of {str(name)!r} is not an array of numbers"
            ) from error
        table.setdefault(str(name), row)
    for name in list(table):
        table.setdefault(name.lower(), table[name])
    widths = {vector.shape for vector in table.values()}
    if len(widths) > 1 or any(len(shape) != 1 for shape in widths):
        raise InputError(f"label vectors differ in shape: {sorted(widths)}")
    return _matched(LabelSet(names), table, "the mapping of label vectors")


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_\-/]+", name) if word]


def _keys(name: str) -> list[str]:
    """Returns all spellings under which a name or one of its words may appear in a table."""
    return [spelling for part in (name, *_words(name)) for spelling in _spellings(part)]


def _spellings(name: str) -> list[str]:
    words = _words(name)
    spellings = [name, name.lower()]
    spellings += [f(sign.join(words)) for sign in "_- " for f in (str, str.lower)]
    return list(dict.fromkeys(spellings))


def _matched(
    labels: LabelSet, table: Mapping[str, Vector], where: str
) -> tuple[NDArray[np.float32], VectorReport]:
    def find(text: str) -> Vector | None:
        return next((table[key] for key in _spellings(text) if key in table), None)

    rows, found, partial, missing = _look_up(labels, find)
    if not rows:
        raise InputError(f"{where} has no vector for any of the {len(labels)} labels")
    width = len(next(iter(rows.values())))
    vectors = np.zeros((len(labels), width), np.float32)
    for name, row in rows.items():
        # values far outside the range of float32 become infinite
        if not (np.abs(row) <= np.finfo(np.float32).max).all():
            raise InputError(
                f"{where}: the vector of {name!r} contains NaN, infinity or values beyond 3e38"
            )
        vectors[labels.index(name)] = row
    return vectors, VectorReport(tuple(found), partial, tuple(missing))


def _look_up(
    labels: LabelSet, find: Callable[[str], Vector | None]
) -> tuple[dict[str, Vector], list[str], dict[str, tuple[str, ...]], list[str]]:
    rows: dict[str, Vector] = {}
    found: list[str] = []
    partial: dict[str, tuple[str, ...]] = {}
    missing: list[str] = []
    for name in labels:
        whole = find(name)
        if whole is not None:
            rows[name] = whole
            found.append(name)
            continue
        parts = {word: find(word) for word in _words(name)}
        known = [vector for vector in parts.values() if vector is not None]
        lacking = tuple(word for word, vector in parts.items() if vector is None)
        if not known:
            missing.append(name)
            continue
        rows[name] = np.mean(known, axis=0)
        if lacking:
            partial[name] = lacking
        else:
            found.append(name)
    return rows, found, partial, missing
