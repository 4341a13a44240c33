"""Reads files of vectors by name: GloVe's text format and npz archives."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.array_reading import read_npz
from gatlabel.errors import InputError
from gatlabel.reading import opened
from gatlabel.values import shown

Vector = NDArray[np.float64]


def read_npz_vectors(path: str | os.PathLike[str], wanted: set[str]) -> dict[str, Vector]:
    """Reads the arrays ``names (L,)`` and ``vectors (L, F)``; returns the wanted names."""
    arrays = read_npz(path, "label vectors")
    if not {"names", "vectors"} <= set(arrays):
        raise InputError(
            f"{os.fspath(path)} has the arrays {sorted(arrays)}: expected names and vectors"
        )
    names, vectors = _texts(arrays["names"], os.fspath(path)), arrays["vectors"]
    fit = vectors.ndim == 2 and len(names) == len(vectors) and 0 not in vectors.shape
    if not fit or vectors.dtype.kind not in "fiu":
        raise InputError(
            f"{os.fspath(path)}: {len(names)} names and vectors {vectors.shape} of "
            f"{vectors.dtype} do not match: expected (L, F) numbers"
        )
    table: dict[str, Vector] = {}
    for spelling in (str, str.lower):  # an exact match takes precedence over a lower-cased one
        for name, vector in zip(names, vectors, strict=True):
            if (key := spelling(name)) in wanted:
                table.setdefault(key, vector.astype(np.float64))
    return table


def _texts(names: NDArray[Any], where: str) -> list[str]:
    """Returns the names of an npz file, which may be UTF-8 bytes, and checks for duplicates."""
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise InputError(f"{where}: names are {names.dtype} {names.shape}, expected (L,) texts")
    try:
        texts = [n.decode() if isinstance(n, bytes) else n for n in names.tolist()]
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: a name is not UTF-8") from error
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            raise InputError(f"{where}: the name {shown(text)} appears twice")
        seen.add(text)
    return texts


def read_text_vectors(path: str | os.PathLike[str], wanted: set[str]) -> dict[str, Vector]:
    """Reads lines of a word and F numbers; returns the first vector of each wanted word."""
    table: dict[str, Vector] = {}
    width: int | None = None
    with opened(path, "label vectors") as file:
        # split at line breaks only: some GloVe words are other line separators
        lines = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="\n")
        for number, line in enumerate(lines, 1):
            cells = line.rstrip().split(" ")
            if number == 1 and len(cells) == 2 and all(cell.isdigit() for cell in cells):
                continue
            if len(cells) < 2:
                continue
            width = width or len(cells) - 1
            # some words of GloVe's largest files contain blanks: numbers are counted from the end
            start = max(len(cells) - width, 1)
            word = " ".join(cells[:start])
            if word in wanted and word not in table:
                where = f"{os.fspath(path)}, line {number}"
                table[word] = _numbers(word, cells[start:], width, where)
    return table


def _numbers(word: str, cells: list[str], width: int, where: str) -> Vector:
    try:
        vector = np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{where}: expected numbers: {error}") from error
    if len(vector) != width:
        raise InputError(
            f"{where}: {len(vector)} numbers for {word!r}, but the first line has {width}"
        )
    if not np.isfinite(vector).all():
        raise InputError(f"{where}: the vector of {word!r} contains NaN or infinity")
    return vector
