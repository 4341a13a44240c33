"""Co-occurrence counts as JSON files.

The keys are those of published label statistics, which load as they are: ``names``, ``images``,
``counts`` and ``pairs`` (``[i, j, n]`` with i < j). Where labels were unknown, ``unknown`` holds
``counts`` (L), ``pairs`` (both unknown) and ``present`` (i present while j is unknown).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.graph.counting import UnknownCounts
from gatlabel.graph.sparse_counts import count_dtype, from_triples, whole_numbers

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
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        raise InputError(f"{os.fspath(path)} is no co-occurrence file of the format {FORMAT}")
    missing = [key for key in ("images", "names", "counts", "pairs") if key not in content]
    if missing:
        raise InputError(f"the co-occurrence file {os.fspath(path)} lacks {', '.join(missing)}")
    try:
        counts = Cooccurrence.from_counts(
            content["counts"], content["pairs"], content["images"], content["names"]
        )
        if "unknown" not in content:
            return counts
        gaps = content["unknown"]
        size, dtype = len(counts.labels), count_dtype(counts.images)
        unknown = UnknownCounts(
            whole_numbers(gaps["counts"], "unknown counts"),
            _matrix(gaps["pairs"], size, dtype),
            _matrix(gaps["present"], size, dtype),
        )
        if unknown.labels.shape != (size,):
            raise InputError(f"unknown counts have shape {unknown.labels.shape}, not ({size},)")
        return Cooccurrence(
            counts.labels, counts.images, counts.label_counts, counts.pairs, unknown
        )
    except (InputError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def _triples(matrix: sparse.csr_array) -> list[list[int]]:
    stored = matrix.tocoo()
    return np.stack([stored.row, stored.col, stored.data], 1).tolist()


def _matrix(triples: Any, size: int, dtype: type[np.signedinteger]) -> sparse.csr_array:
    array = whole_numbers(triples, "pairs of unknown labels").reshape(-1, 3)
    return from_triples(array[:, 0], array[:, 1], array[:, 2], size, dtype)
