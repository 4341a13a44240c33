"""Co-occurrence counts as JSON files.

The keys are those of published label statistics, which load as they are: ``names``, ``images``,
``counts`` and ``pairs`` (``[i, j, n]`` with i < j). Where labels were unknown, ``unknown`` holds
``counts`` (L), ``pairs`` (both unknown) and ``present`` (i present while j is unknown).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.graph.count_checks import check_unknown
from gatlabel.graph.counting import UnknownCounts
from gatlabel.graph.sparse_counts import (
    count_dtype,
    from_triples,
    refuse_overflow,
    whole_numbers,
)
from gatlabel.labels import LabelSet
from gatlabel.values import shown, whole_number

if TYPE_CHECKING:
    from gatlabel.graph.cooccurrence import Cooccurrence

FORMAT = "gatlabel.cooccurrence/1"


def save_counts(counts: Cooccurrence, path: str | os.PathLike[str]) -> None:
    """Writes counts to a JSON file."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "images": counts.images,
        "names": list(counts.names),
        "counts": counts.label_counts.tolist(),
        "pairs": _triples(counts.pairs),
    }
    if counts.unknown is not None:
        content["unknown"] = {
            "counts": counts.unknown.labels.tolist(),
            "pairs": _triples(counts.unknown.pairs),
            "present": _triples(counts.unknown.present),
        }
    write_json(path, content, indent=None)


def load_counts(path: str | os.PathLike[str]) -> Cooccurrence:
    """Reads counts from a JSON file.

    Raises:
        InputError: If the file cannot be read, a key is missing, or the counts do not fit.
    """
    from gatlabel.graph.cooccurrence import Cooccurrence

    content = read_json(path, "co-occurrence file")
    where = os.fspath(path)
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        raise InputError(f"{where} is no co-occurrence file of the format {FORMAT}")
    missing = [key for key in ("images", "names", "counts", "pairs") if key not in content]
    if missing:
        raise InputError(f"the co-occurrence file {where} lacks {', '.join(missing)}")
    try:
        images = content["images"]
        if images is not None:
            images = whole_number(images, "images", 0, 2**53)
        names = LabelSet(_list(content["names"], "names"))
        counts = Cooccurrence.from_counts(
            _numbers(content["counts"], "counts"), _rows(content["pairs"], "pairs"), images, names
        )
        if "unknown" not in content:
            return counts
        result = Cooccurrence(
            names, images, counts.label_counts, counts.pairs, _unknown(content["unknown"], counts)
        )
        check_unknown(result)
        return result
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _unknown(content: Any, counts: Cooccurrence) -> UnknownCounts:
    if not isinstance(content, Mapping):
        raise InputError(f"unknown is {shown(content)}, expected an object")
    missing = [key for key in ("counts", "pairs", "present") if key not in content]
    if missing:
        raise InputError(f"unknown lacks {', '.join(missing)}")
    size, dtype = len(counts.labels), count_dtype(counts.images)
    labels = whole_numbers(_numbers(content["counts"], "unknown counts"), "unknown counts")
    if labels.shape != (size,):
        raise InputError(f"unknown counts have shape {labels.shape}, not ({size},)")
    return UnknownCounts(
        labels,
        _matrix(content["pairs"], "unknown pairs", counts.labels, dtype, upper=True),
        _matrix(content["present"], "unknown present", counts.labels, dtype, upper=False),
    )


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{what} is {shown(value)}, expected a list")
    return value


def _numbers(value: Any, what: str) -> list[int | float]:
    """Checks a list of numbers; the types of millions are compared at once."""
    if wrong := {type(each) for each in _list(value, what)} - {int, float}:
        position = next(k for k, each in enumerate(value) if type(each) in wrong)
        raise InputError(f"{what}, entry {position}: {shown(value[position])} is no number")
    return value


def _rows(value: Any, what: str) -> list[list[int | float]]:
    """Checks a list of lists of numbers."""
    for position, row in enumerate(_list(value, what)):
        if type(row) is not list:
            raise InputError(f"{what}, entry {position}: {shown(row)}, expected a list of numbers")
    if {type(each) for row in value for each in row} - {int, float}:
        for position, row in enumerate(value):
            _numbers(row, f"{what}, entry {position}")
    return value


def _triples(matrix: sparse.csr_array) -> list[list[int]]:
    stored = matrix.tocoo()
    return np.stack([stored.row, stored.col, stored.data], 1).tolist()


def _matrix(
    value: Any, what: str, labels: LabelSet, dtype: type[np.signedinteger], *, upper: bool
) -> sparse.csr_array:
    """Builds a matrix ``(L, L)`` of a list of ``[i, j, n]``, each pair once, i and j different.

    Args:
        value: The list.
        what: What it is, for messages.
        labels: The L labels.
        dtype: Integer type of the result.
        upper: Whether i has to be below j.
    """
    rows, size = _rows(value, what), len(labels)
    if bad := next((row for row in rows if len(row) != 3), None):
        raise InputError(f"{what} hold {shown(bad)}: expected [i, j, n]")
    array = whole_numbers(rows, what).reshape(-1, 3)
    i, j, n = array.T
    wrong = (np.maximum(i, j) >= size) | ((i >= j) if upper else (i == j))
    if wrong.any():
        order = "i below j" if upper else "i other than j"
        row = array[int(np.argmax(wrong))].tolist()
        raise InputError(f"{what} hold {row}: expected [i, j, n], {order}, 0 to {size - 1}")
    refuse_overflow(n, dtype, what)
    _refuse_repeats(i * size + j, labels, what)
    return from_triples(i, j, n, size, dtype)


def _refuse_repeats(keys: NDArray[np.int64], labels: LabelSet, what: str) -> None:
    unique, count = np.unique(keys, return_counts=True)
    if (count > 1).any():
        i, j = divmod(int(unique[count > 1][0]), len(labels))
        raise InputError(f"{what}: the pair {labels[i]!r}, {labels[j]!r} stands more than once")
