"""How often labels occur together: ``XᵀX`` of sparse targets, its strict upper triangle only.

A pair of labels in an image is written as two numbers that in this order sort as the pair does:
*lower*, 16 bits, holds the second label and the low bits of the first, *upper* the rest of the
first. The pairs are put into the buckets of *upper* by what scipy does when it transposes; within a
bucket, which stays in the processor's cache, NumPy sorts 16-bit numbers by radix and equal ones are
counted. With more than 65,536 labels, lower has 32 bits and all pairs are sorted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_PAIRS = 1 << 24  # pairs counted at a time
_WRITTEN = 1 << 21  # pairs written and put into buckets at a time: 12 bytes each, used again
_ENTRIES = 1 << 16  # entries whose pairs are written at a time: they stay in the cache
_BUCKETS_FROM = 1 << 18  # pairs: below, one call of sort is as fast
_TALLY_FROM = 1 << 18  # pairs in a bucket: above, they are tallied and not sorted

_Part = tuple[int, NDArray[np.unsignedinteger], NDArray[np.integer]]


def upper_gram(matrix: sparse.csr_array, dtype: type[np.signedinteger]) -> sparse.csr_array:
    """Returns the strict upper triangle of ``XᵀX`` of a 0/1 matrix ``X (N, L)``.

    Half the work of a sparse product, which makes both triangles and the diagonal, and little
    memory beside the pairs.

    Args:
        matrix: ``X``, canonical: the columns within a row rise.
        dtype: Of the counts.

    Returns:
        ``(L, L)``, canonical.
    """
    layout = _Layout.of(matrix.shape[1])
    total = sparse.csr_array((matrix.shape[1], matrix.shape[1]), dtype=dtype)
    for start, stop in _by_pairs(matrix.indptr, _PAIRS):
        part = layout.counted(matrix.indices, matrix.indptr[start : stop + 1], dtype)
        total = total + part if total.nnz else part
    return total


def _by_pairs(pointer: NDArray[np.integer], most: int) -> Iterator[tuple[int, int]]:
    """Cuts rows into runs, from row to row, of about ``most`` pairs."""
    length = np.diff(pointer).astype(np.int64)
    run = np.cumsum(length * (length - 1) // 2) // most
    starts = np.flatnonzero(np.diff(run, prepend=-1)).tolist()
    stops = [*starts[1:], len(length)]
    del length, run  # not to be held while the caller works
    yield from zip(starts, stops[: len(starts)], strict=True)  # no row, no run


@dataclass(frozen=True)
class _Layout:
    """Where the bits of a pair go.

    Attributes:
        size: Number of labels L.
        second: Bits of the second label, the lowest of *lower*.
        lower: Type of *lower*.
        first: Bits of the first label that *lower* holds, above the second label.
    """

    size: int
    second: int
    lower: type[np.unsignedinteger]
    first: int

    @classmethod
    def of(cls, size: int) -> _Layout:
        second = max(1, (size - 1).bit_length())
        narrow = second <= 16
        return cls(size, second, np.uint16 if narrow else np.uint32, 16 * (2 - narrow) - second)

    def counted(
        self,
        indices: NDArray[np.integer],
        pointer: NDArray[np.integer],
        dtype: type[np.signedinteger],
    ) -> sparse.csr_array:
        """Counts the pairs of the rows that ``pointer`` bounds; canonical ``(L, L)``."""
        length = np.diff(pointer).astype(np.int64)
        pairs = int((length * (length - 1) // 2).sum())
        if pairs < _BUCKETS_FROM or self.lower is not np.uint16:
            upper, lower = self.pairs(indices, pointer)
            keys = upper.astype(np.uint64) << np.uint64(self.second + self.first)
            keys |= lower
            del upper, lower
            keys.sort()
            return self.matrix([(0, *_distinct(keys))], self.size, pairs, dtype)
        written: list[tuple[NDArray[np.unsignedinteger], NDArray[np.integer]]] = []
        for start, stop in _by_pairs(pointer, _WRITTEN):
            upper, lower = self.pairs(indices, pointer[start : stop + 1])
            shape = (1, (self.size - 1 >> self.first) + 1)
            row = sparse.csr_array((lower, upper, np.array([0, len(lower)])), shape=shape)
            buckets = row.tocsc()
            written.append((buckets.data, buckets.indptr))
        return self.matrix(self.by_bucket(written), 1 << self.first, pairs, dtype)

    def pairs(
        self, indices: NDArray[np.integer], pointer: NDArray[np.integer]
    ) -> tuple[NDArray[np.int32], NDArray[np.unsignedinteger]]:
        """Writes every pair of entries of a row, as *upper* and *lower*, rows by their length."""
        length = np.diff(pointer)
        count = length.astype(np.int64)
        total = int((count * (count - 1) // 2).sum())
        upper, lower = np.empty(total, np.int32), np.empty(total, self.lower)
        filled = 0
        for labels in _blocks(indices, pointer, length):  # (entries of a row, rows)
            high, second = labels >> self.first, labels.astype(self.lower)
            low = second << self.lower(self.second)  # the high bits fall off
            for place in range(len(labels) - 1):
                shape = (len(labels) - place - 1, labels.shape[1])
                here = slice(filled, filled + shape[0] * shape[1])
                upper[here].reshape(shape)[:] = high[place]
                np.bitwise_or(low[place], second[place + 1 :], out=lower[here].reshape(shape))
                filled = here.stop
        return upper, lower

    def by_bucket(
        self, written: list[tuple[NDArray[np.unsignedinteger], NDArray[np.integer]]]
    ) -> Iterator[_Part]:
        """Sorts and counts one bucket after the other; each is in pieces."""
        borders = [border.tolist() for _, border in written]
        for bucket in range(len(borders[0]) - 1):
            pieces = [
                lower[border[bucket] : border[bucket + 1]]
                for (lower, _), border in zip(written, borders, strict=True)
            ]
            part = np.concatenate(pieces)
            if len(part) > _TALLY_FROM:
                yield bucket << self.first, *_tallied(part)
            else:
                part.sort(kind="stable")  # by radix
                yield bucket << self.first, *_distinct(part)

    def matrix(
        self, parts: Iterable[_Part], rows: int, pairs: int, dtype: type[np.signedinteger]
    ) -> sparse.csr_array:
        """Joins the counts of buckets of ``rows`` labels each, at most ``pairs`` in all."""
        last_of_row = (np.arange(1, rows + 1, dtype=np.uint64) << np.uint64(self.second)) - 1
        mask = (1 << self.second) - 1
        pointer = np.zeros(self.size + 1, np.int32)
        # more than enough: what is not written to takes no memory
        columns, counts = np.empty(pairs, np.int32), np.empty(pairs, dtype)
        filled = 0
        for first, keys, count in parts:
            kind = keys.dtype.type
            last = last_of_row[: self.size - first].astype(kind)  # of another type: copies the keys
            stops = keys.searchsorted(last, "right")
            pointer[first + 1 : first + 1 + len(last)] = stops + filled
            here = slice(filled, filled + len(keys))
            np.bitwise_and(keys, kind(mask), out=columns[here], casting="unsafe")
            counts[here] = count
            filled = here.stop
        columns.resize(filled, refcheck=False)
        counts.resize(filled, refcheck=False)
        return sparse.csr_array((counts, columns, pointer), shape=(self.size, self.size))


def _blocks(
    indices: NDArray[np.integer], pointer: NDArray[np.integer], length: NDArray[np.integer]
) -> Iterator[NDArray[np.int32]]:
    """The entries of some rows of equal length at a time, ``(length, rows)``."""
    order = None  # as they stand
    if (length != length[0]).any():
        order = length.argsort(kind="stable")
        length = length[order]
    starts = np.flatnonzero(np.diff(length, prepend=-1))
    for start, stop in zip(starts, np.r_[starts[1:], len(length)], strict=True):
        count = int(length[start])
        if count < 2:
            continue
        step = max(1, _ENTRIES // count)
        for begin in range(start, stop, step):
            end = min(begin + step, stop)
            if order is None:
                rows = indices[pointer[begin] : pointer[end]].reshape(-1, count).T
            else:
                rows = indices[pointer[order[begin:end]] + np.arange(count)[:, None]]
            yield np.ascontiguousarray(rows, np.int32)


def _distinct(
    keys: NDArray[np.unsignedinteger],
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.integer]]:
    """The different numbers among sorted ones, and how often each occurs."""
    changes = np.flatnonzero(keys[1:] != keys[:-1])
    last = np.empty(min(len(changes) + 1, len(keys)), np.int64)  # none, if there are no numbers
    last[: len(changes)] = changes
    last[len(changes) :] = len(keys) - 1
    counts = last + 1
    counts[1:] -= counts[:-1].copy()
    return keys[last], counts


def _tallied(
    keys: NDArray[np.unsignedinteger],
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.integer]]:
    """The same of many 16-bit numbers in any order."""
    tally = np.zeros(1 << 16, np.int64)
    for start in range(0, len(keys), _ENTRIES):  # NumPy makes 8 bytes of each
        tally += np.bincount(keys[start : start + _ENTRIES], minlength=len(tally))
    found = np.flatnonzero(tally)
    return found.astype(keys.dtype), tally[found]
