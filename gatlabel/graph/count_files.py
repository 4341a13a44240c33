"""Co-occurrence counts as JSON files.

The keys are those of published label statistics, which can be loaded unchanged: ``names``,
``images``, ``counts`` and ``pairs`` (``[i, j, n]`` with i < j). If some labels are unknown,
``unknown`` holds ``counts`` (L), ``pairs`` (both unknown) and ``present`` (i present, j unknown).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.graph.counts import Counts, UnknownCounts
from gatlabel.graph.pair_input import read_counts
from gatlabel.graph.sparse_counts import (
    count_dtype,
    entries,
    from_triples,
    more_than_a_label,
    refuse_overflow,
    whole_numbers,
)
from gatlabel.labels import LabelSet
from gatlabel.values import shown, whole_number

FORMAT = "gatlabel.cooccurrence/1"


def save_counts(counts: Counts, path: str | os.PathLike[str]) -> None:
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


def load_counts(path: str | os.PathLike[str]) -> Counts:
    """Reads counts from a JSON file.

    Raises:
        InputError: If the file cannot be read, a key is missing, or counts contradict each other.
    """
    content = read_json(path, "co-occurrence file")
    where = os.fspath(path)
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        raise InputError(f"{where} is not a co-occurrence file of format {FORMAT}")
    missing = [key for key in ("images", "names", "counts", "pairs") if key not in content]
    if missing:
        raise InputError(f"the co-occurrence file {where} lacks {', '.join(missing)}")
    try:
        images = content["images"]
        if images is not None:
            images = whole_number(images, "images", 0, 2**53)
        names = LabelSet(_list(content["names"], "names"))
        counts = read_counts(
            _numbers(content["counts"], "counts"), _rows(content["pairs"], "pairs"), images, names
        )
        if "unknown" not in content:
            return counts
        unknown = _unknown(content["unknown"], counts)
        result = Counts(names, images, counts.label_counts, counts.pairs, unknown)
        _check_unknown(result, unknown)
        return result
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _unknown(content: Any, counts: Counts) -> UnknownCounts:
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


def _check_unknown(counts: Counts, unknown: UnknownCounts) -> None:
    """Checks that counts of unknown entries read from a file do not contradict the other counts.

    Counting never produces contradictions, so only files need this check.

    Raises:
        InputError: If two labels are unknown together more often than one of them is unknown, if
            a label is present while another is unknown more often than either count allows, or
            if a pair occurs more often than its labels are present and known. The labels are named.
    """
    labels, single = counts.labels, counts.label_counts
    if (found := more_than_a_label(unknown.pairs, unknown.labels)) is not None:
        row, column, count = found
        raise InputError(
            f"the pair {labels[row]!r}, {labels[column]!r} is unknown {count} times, more often "
            "than one of its labels"
        )
    stored = unknown.present.tocoo()
    bad = stored.data > np.minimum(single[stored.row], unknown.labels[stored.col])
    if bad.any():
        k = int(np.argmax(bad))
        one, other = labels[int(stored.row[k])], labels[int(stored.col[k])]
        raise InputError(
            f"{one!r} is present {stored.data[k]} times while {other!r} is unknown, more often "
            "than either"
        )
    pairs = counts.pairs.tocoo()
    for i, j in ((pairs.row, pairs.col), (pairs.col, pairs.row)):
        bad = pairs.data > single[i] - entries(unknown.present, i, j)
        if bad.any():
            k = int(np.argmax(bad))
            raise InputError(
                f"the pair {labels[int(i[k])]!r}, {labels[int(j[k])]!r} occurs {pairs.data[k]} "
                "times, more often than the first is present where the second is known"
            )


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{what} is {shown(value)}, expected a list")
    return value


def _numbers(value: Any, what: str) -> list[int | float]:
    """Checks a list of numbers. All types are compared at once, as lists may have millions."""
    if wrong := {type(each) for each in _list(value, what)} - {int, float}:
        position = next(k for k, each in enumerate(value) if type(each) in wrong)
        raise InputError(f"{what}, entry {position}: {shown(value[position])} is not a number")
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
    """Builds a matrix ``(L, L)`` from a list of ``[i, j, n]`` with each pair once and i != j.

    Args:
        value: The list.
        what: Name of the list in error messages.
        labels: The L labels.
        dtype: Integer type of the result.
        upper: Whether i must be below j.
    """
    rows, size = _rows(value, what), len(labels)
    if bad := next((row for row in rows if len(row) != 3), None):
        raise InputError(f"{what} contain {shown(bad)}: expected [i, j, n]")
    array = whole_numbers(rows, what).reshape(-1, 3)
    i, j, n = array.T
    wrong = (np.maximum(i, j) >= size) | ((i >= j) if upper else (i == j))
    if wrong.any():
        order = "i below j" if upper else "i different from j"
        row = array[int(np.argmax(wrong))].tolist()
        raise InputError(f"{what} contain {row}: expected [i, j, n], {order}, 0 to {size - 1}")
    refuse_overflow(n, dtype, what)
    _refuse_repeats(i * size + j, labels, what)
    return from_triples(i, j, n, size, dtype)


def _refuse_repeats(keys: NDArray[np.int64], labels: LabelSet, what: str) -> None:
    unique, count = np.unique(keys, return_counts=True)
    if (count > 1).any():
        i, j = divmod(int(unique[count > 1][0]), len(labels))
        raise InputError(f"{what}: the pair {labels[i]!r}, {labels[j]!r} appears more than once")
