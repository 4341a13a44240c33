"""Pair counts as sparse upper triangles: the array operations shared by all counting code.

Only pairs that occur are stored, each once (row < column), so that memory grows with the number
of pairs and not with L². scipy's own product would hold both halves and the diagonal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError

_ENTRIES = 1 << 18  # entries processed at a time: they fit the cache


def count_dtype(images: int | None) -> type[np.signedinteger]:
    """Returns the integer type for counts of images: the smaller one if it suffices."""
    return np.int32 if images is not None and images < 2**31 else np.int64


def from_triples(
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    counts: NDArray[np.integer],
    size: int,
    dtype: type[np.signedinteger],
) -> sparse.csr_array:
    """Builds a canonical (sorted, no zeros, no duplicates) matrix ``(size, size)``."""
    kept = counts != 0
    matrix = sparse.csr_array(
        (counts[kept].astype(dtype), (rows[kept], columns[kept])), shape=(size, size)
    )
    matrix.sum_duplicates()
    return matrix


def upper_of_dense(matrix: NDArray[np.integer], dtype: type[np.signedinteger]) -> sparse.csr_array:
    """Returns the strict upper triangle of a symmetric matrix ``(L, L)``, sparse."""
    return sparse.csr_array(np.triu(matrix, 1).astype(dtype))


def symmetric(upper: sparse.csr_array) -> NDArray[np.int64]:
    """Returns the dense symmetric matrix ``(L, L)``, zero diagonal, of a strict upper triangle."""
    dense = upper.toarray().astype(np.int64)
    return dense + dense.T


def entries(
    matrix: sparse.csr_array, rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Reads ``matrix[rows[k], columns[k]]`` for every k; int64 ``(K,)``."""
    if matrix.nnz == 0 or len(rows) == 0:
        return np.zeros(len(rows), np.int64)
    width = matrix.shape[1]
    stored = matrix.tocoo()
    keys = stored.row.astype(np.int64) * width + stored.col  # ascending: the matrix is canonical
    wanted = rows.astype(np.int64) * width + columns
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, stored.data[at], 0).astype(np.int64)


def permuted(matrix: sparse.csr_array, order: NDArray[np.int64], upper: bool) -> sparse.csr_array:
    """Returns ``matrix[order][:, order]``; with ``upper``, folded to an upper triangle."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    stored = matrix.tocoo()
    rows, columns = place[stored.row], place[stored.col]
    if upper:
        rows, columns = np.minimum(rows, columns), np.maximum(rows, columns)
    return from_triples(rows, columns, stored.data, matrix.shape[0], matrix.dtype.type)


def same(one: sparse.csr_array, two: sparse.csr_array) -> bool:
    """Whether two canonical matrices hold the same counts."""
    return all(
        np.array_equal(getattr(one, part), getattr(two, part))
        for part in ("indptr", "indices", "data")
    )


def more_than_a_label(
    pairs: sparse.csr_array, label_counts: NDArray[np.integer]
) -> tuple[int, int, int] | None:
    """Finds a pair counted more often than one of its labels: row, column, count."""
    if not pairs.nnz:
        return None
    counts, columns, length = pairs.data, pairs.indices, np.diff(pairs.indptr)
    limits = np.minimum(label_counts, np.iinfo(counts.dtype).max).astype(counts.dtype)
    rows = np.flatnonzero(length)
    bad = bool((np.maximum.reduceat(counts, pairs.indptr[rows]) > limits[rows]).any())
    for start in range(0, len(counts), _ENTRIES):
        block = slice(start, start + _ENTRIES)
        bad = bad or bool((counts[block] > limits[columns[block]]).any())
    if not bad:
        return None
    at = int(np.argmax(counts > np.minimum(np.repeat(limits, length), limits[columns])))
    row = int(np.searchsorted(pairs.indptr, at, side="right")) - 1
    return row, int(columns[at]), int(counts[at])


def whole_numbers(values: object, what: str) -> NDArray[np.int64]:
    """Converts counts to int64.

    Raises:
        InputError: If a value is negative, not finite, or not a whole number.
    """
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iufb":
        raise InputError(f"{what} must be numbers that fit 64 bits, not {array.dtype}")
    if not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise InputError(f"{what} must be whole numbers: they count images")
    if (array < 0).any():
        raise InputError(f"{what} contain the negative value {array.min()}: they count images")
    if array.dtype.kind != "b" and (largest := array.max()) >= 2**63:
        raise InputError(f"{what} contain {largest}: larger than any set of images")
    return array.astype(np.int64)


def refuse_overflow(counts: NDArray[np.int64], dtype: type[np.signedinteger], what: str) -> None:
    """Checks that counts fit the integer type chosen for this number of images.

    Raises:
        InputError: If a count does not fit and thus exceeds the number of images.
    """
    if counts.size and (largest := int(counts.max())) > np.iinfo(dtype).max:
        raise InputError(f"{what} contain {largest}: larger than the number of images")
