"""Pair counts as sparse upper triangles: the few array operations that all counting shares.

Of L² label pairs only those that occur are kept, each once (row < column), so that 10,000
labels cost what their pairs cost. scipy's own product would hold both halves and the diagonal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError

_PAIRS = 1 << 24  # pairs sorted at a time: 64 MB
_ENTRIES = 1 << 18  # entries whose pairs are written at a time: they stay in the cache
_RADIX_FROM = 1 << 20  # pairs: below, one call of sort is as fast


def count_dtype(images: int | None) -> type[np.signedinteger]:
    """Returns the integer type that holds a count of pictures: half the memory when it can."""
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
    """Returns ``matrix[order][:, order]``; ``upper`` keeps a triangle a triangle."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    stored = matrix.tocoo()
    rows, columns = place[stored.row], place[stored.col]
    if upper:
        rows, columns = np.minimum(rows, columns), np.maximum(rows, columns)
    return from_triples(rows, columns, stored.data, matrix.shape[0], matrix.dtype.type)


def upper_gram(matrix: sparse.csr_array, dtype: type[np.signedinteger]) -> sparse.csr_array:
    """Returns the strict upper triangle of ``XᵀX`` of a 0/1 matrix ``X (N, L)``, canonical.

    The pairs within each row are written out as numbers, sorted, and equal ones counted, some
    millions at a time. That is half the work of a sparse product, which makes both triangles,
    and takes little memory beside the pairs.
    """
    size = matrix.shape[1]
    if not matrix.nnz:
        return sparse.csr_array((size, size), dtype=dtype)
    length = np.diff(matrix.indptr).astype(np.int64)
    chunk = np.cumsum(length * (length - 1) // 2) // _PAIRS
    starts = np.flatnonzero(np.r_[True, chunk[1:] != chunk[:-1]])
    total: sparse.csr_array | None = None
    for start, stop in zip(starts, np.r_[starts[1:], len(length)], strict=True):
        keys = _pairs_in_rows(matrix.indices, matrix.indptr[start : stop + 1], size)
        part = _counted(_sorted(keys), size, dtype)
        total = part if total is None else total + part
    assert total is not None
    return total


def _pairs_in_rows(
    indices: NDArray[np.integer], pointer: NDArray[np.integer], size: int
) -> NDArray[np.unsignedinteger]:
    """Writes every pair of entries of a row as ``first * size + second``, unsorted."""
    key: type[np.unsignedinteger] = np.uint32 if size * size <= 2**32 else np.uint64
    length = np.diff(pointer).astype(np.int64)
    keys: NDArray[np.unsignedinteger] = np.empty(int((length * (length - 1) // 2).sum()), key)
    filled = 0
    blocks = (pointer[:-1] - pointer[0]) // _ENTRIES
    starts = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]])
    for start, stop in zip(starts, np.r_[starts[1:], len(length)], strict=True):
        left = np.arange(pointer[start], pointer[stop], dtype=np.int64)
        last = np.repeat(pointer[start + 1 : stop + 1] - 1, length[start:stop])
        distance = 1
        while True:
            reaches = last >= left + distance  # the entry `distance` further on is in the same row
            left, last = left[reaches], last[reaches]
            if not len(left):
                break
            part = keys[filled : filled + len(left)]
            np.multiply(indices[left], key(size), out=part, casting="unsafe")
            np.add(part, indices[left + distance], out=part, casting="unsafe")
            filled += len(left)
            distance += 1
    return keys


def _sorted(keys: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Sorts, and may overwrite what it is given.

    Many 32-bit numbers are first put into the buckets of their upper halves, which is what scipy
    does when it transposes; NumPy sorts the 16-bit lower halves by radix.
    """
    if keys.itemsize != 4 or len(keys) < _RADIX_FROM:
        keys.sort()
        return keys
    upper = (keys >> np.uint32(16)).astype(np.int32)
    lower = keys.astype(np.uint16)
    count = int(upper.max()) + 1
    row = sparse.csr_array((lower, upper, np.array([0, len(keys)], np.int32)), shape=(1, count))
    buckets = row.tocsc()
    del row, upper, lower
    borders, lower = buckets.indptr, buckets.data
    del buckets
    for bucket in range(count):
        start, stop = borders[bucket], borders[bucket + 1]
        part = lower[start:stop]
        part.sort(kind="stable")
        np.add(part, np.uint32(bucket << 16), out=keys[start:stop])
    return keys


def _counted(
    keys: NDArray[np.unsignedinteger], size: int, dtype: type[np.signedinteger]
) -> sparse.csr_array:
    """Counts equal keys in a sorted array of them."""
    first = np.empty(len(keys), bool)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    starts = np.empty(np.count_nonzero(first) + 1, np.int32)  # a chunk is far below 2^31 pairs
    filled = 0
    for offset in range(0, len(keys), 1 << 20):  # NumPy's own positions are 8 bytes each
        found = np.flatnonzero(first[offset : offset + (1 << 20)])
        starts[filled : filled + len(found)] = found + offset
        filled += len(found)
    starts[filled] = len(keys)
    counts = np.diff(starts).astype(dtype, copy=False)
    del starts
    unique = keys[first]
    width = unique.dtype.type(size)
    borders = np.arange(1, size, dtype=unique.dtype) * width  # of the same type: no copy is made
    pointer = np.r_[0, np.searchsorted(unique, borders), len(unique)].astype(np.int32)
    np.remainder(unique, width, out=unique)
    indices = unique.view(np.int32) if unique.itemsize == 4 else unique.astype(np.int32)
    return sparse.csr_array((counts, indices, pointer), shape=(size, size))


def more_than_a_label(
    pairs: sparse.csr_array, label_counts: NDArray[np.integer]
) -> tuple[int, int, int] | None:
    """Finds a pair that is counted more often than one of its labels: row, column, count."""
    pointer = pairs.indptr
    blocks = pointer[:-1] // _ENTRIES
    starts = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]])
    for start, stop in zip(starts, np.r_[starts[1:], len(blocks)], strict=True):
        stored = slice(pointer[start], pointer[stop])
        own = np.repeat(label_counts[start:stop], np.diff(pointer[start : stop + 1]))
        counts, columns = pairs.data[stored], pairs.indices[stored]
        bad = counts > np.minimum(own, label_counts[columns])
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            row = int(np.searchsorted(pointer, pointer[start] + at, side="right")) - 1
            return row, int(columns[at]), int(counts[at])
    return None


def whole_numbers(values: object, what: str) -> NDArray[np.int64]:
    """Converts counts to int64.

    Raises:
        InputError: If a value is negative, not finite, or no whole number.
    """
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iufb":
        raise InputError(f"{what} must be numbers, not {array.dtype}")
    if not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise InputError(f"{what} must be whole numbers: they count pictures")
    if (array < 0).any():
        raise InputError(f"{what} hold the negative value {array.min()}: they count pictures")
    return array.astype(np.int64)
