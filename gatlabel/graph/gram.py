"""Counts pairs of labels in sparse targets: the strict upper triangle of ``XᵀX``.

A pair of labels is written as two integers, *upper* and *lower*, whose order is that of the pairs.
*lower* has 16 bits: the second label and the low bits of the first. *upper* has the remaining bits
of the first. Pairs are distributed into one bucket per *upper* by scipy's sparse transpose. Each
bucket fits the processor's cache; NumPy sorts its 16-bit integers by radix, and equal ones are
counted. With more than 65,536 labels, lower has 32 bits and all pairs are sorted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_PAIRS = 1 << 24  # pairs counted at a time
_WRITTEN = (
    1 << 21
)  # pairs written and put into buckets at a time: 12 bytes each, the buffer is reused
_ENTRIES = 1 << 16  # entries whose pairs are written at a time: they fit the cache
_BUCKETS_FROM = 1 << 18  # pairs: below this, one sort is as fast
_TALLY_FROM = 1 << 18  # pairs in a bucket: above this, they are counted by value, not sorted

_Part = tuple[int, NDArray[np.unsignedinteger], NDArray[np.integer]]


def upper_gram(matrix: sparse.csr_array, dtype: type[np.signedinteger]) -> sparse.csr_array:
    """Returns the strict upper triangle of ``XᵀX`` of a 0/1 matrix ``X (N, L)``.

    A sparse product would compute both triangles and the diagonal: twice the work. Beside the pairs
    this needs little memory.

    Args:
        matrix: ``X`` in canonical form: columns ascend within each row.
        dtype: Integer type of the counts.

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
    """Splits rows into consecutive ranges of about ``most`` pairs."""
    length = np.diff(pointer).astype(np.int64)
    run = np.cumsum(length * (length - 1) // 2) // most
    starts = np.flatnonzero(np.diff(run, prepend=-1)).tolist()
    stops = [*starts[1:], len(length)]
    del length, run  # frees the memory while the caller works
    yield from zip(starts, stops[: len(starts)], strict=True)  # no rows give no range


@dataclass(frozen=True)
class _Layout:
    """How a pair of labels is split into two integers.

    Attributes:
        size: Number of labels L.
        second: Number of bits of the second label, the lowest of *lower*.
        lower: Integer type of *lower*.
        first: Number of bits of the first label stored in *lower*, above the second label.
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
        """Counts the pairs of the rows between the bounds in ``pointer``; canonical ``(L, L)``."""
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
        """Writes every pair of entries of a row as *upper* and *lower*, rows ordered by length."""
        length = np.diff(pointer)
        count = length.astype(np.int64)
        total = int((count * (count - 1) // 2).sum())
        upper, lower = np.empty(total, np.int32), np.empty(total, self.lower)
        filled = 0
        for labels in _blocks(indices, pointer, length):  # (entries of a row, rows)
            high, second = labels >> self.first, labels.astype(self.lower)
            low = second << self.lower(self.second)  # the high bits are cut off
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
        """Sorts and counts one bucket after another; each consists of pieces."""
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
        """Joins the counts of buckets with ``rows`` labels each and at most ``pairs`` pairs."""
        last_of_row = (np.arange(1, rows + 1, dtype=np.uint64) << np.uint64(self.second)) - 1
        mask = (1 << self.second) - 1
        pointer = np.zeros(self.size + 1, np.int32)
        # an upper bound: pages that are not written to take no memory
        columns, counts = np.empty(pairs, np.int32), np.empty(pairs, dtype)
        filled = 0
        for first, keys, count in parts:
            kind = keys.dtype.type
            last = last_of_row[: self.size - first].astype(kind)  # another type would copy the keys
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
    """Yields the entries of rows of equal length, several rows at a time: ``(length, rows)``."""
    order = None  # in stored order
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
    """Returns the distinct values of sorted numbers and how often each occurs."""
    changes = np.flatnonzero(keys[1:] != keys[:-1])
    last = np.empty(min(len(changes) + 1, len(keys)), np.int64)  # empty without numbers
    last[: len(changes)] = changes
    last[len(changes) :] = len(keys) - 1
    counts = last + 1
    counts[1:] -= counts[:-1].copy()
    return keys[last], counts


def _tallied(
    keys: NDArray[np.unsignedinteger],
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.integer]]:
    """Does the same for many unsorted 16-bit numbers."""
    tally = np.zeros(1 << 16, np.int64)
    for start in range(0, len(keys), _ENTRIES):  # NumPy converts each to 8 bytes
        tally += np.bincount(keys[start : start + _ENTRIES], minlength=len(tally))
    found = np.flatnonzero(tally)
    return found.astype(keys.dtype), tally[found]
