"""Counts labels and pairs of labels in targets, in chunks; unknown entries are excluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.graph.counts import UnknownCounts
from gatlabel.graph.gram import upper_gram
from gatlabel.graph.sparse_counts import count_dtype, from_triples, upper_of_dense
from gatlabel.labels import UNKNOWN
from gatlabel.targets import Targets

PRESENT_FROM = 0.5
"""A soft target counts as present from this value on, and as absent below it."""

_CHUNK_VALUES = 1 << 22  # target values of a chunk by default


@dataclass(frozen=True)
class TargetCounts:
    """The result of one pass over targets ``(N, L)``.

    Attributes:
        images: N.
        labels: int64 ``(L,)``: images in which the label is present.
        pairs: ``(L, L)`` strict upper triangle: images in which both are present.
        unknown: Counts of unknown entries, or ``None`` if there is none.
    """

    images: int
    labels: NDArray[np.int64]
    pairs: sparse.csr_array
    unknown: UnknownCounts | None


def count_targets(targets: Targets, chunk: int | None = None) -> TargetCounts:
    """Counts labels and pairs.

    Args:
        targets: ``(N, L)``; a soft target counts as present from 0.5 on.
        chunk: Rows of dense targets to process at a time; by default about 4 million values.

    Raises:
        InputError: If ``chunk`` is out of range.
    """
    if chunk is not None and not 1 <= chunk < 2**24:  # float32 products are exact below 2^24
        raise InputError(f"chunk is {chunk}: it must be between 1 and {2**24 - 1} rows")
    if not isinstance(targets.values, np.ndarray):
        return _count_sparse(targets.values)
    return _count_dense(targets.values, chunk or max(1, _CHUNK_VALUES // max(targets.shape[1], 1)))


def _count_dense(targets: NDArray[Any], chunk: int) -> TargetCounts:
    N, L = targets.shape
    dtype = count_dtype(N)
    counts, pairs = np.zeros(L, np.int64), np.zeros((L, L), dtype)
    unknown_counts = np.zeros(L, np.int64)
    unknown_pairs: NDArray[Any] | None = None  # most data sets need neither of these two
    present_unknown: NDArray[Any] | None = None
    for start in range(0, N, chunk):
        rows = targets[start : start + chunk]
        present = (rows >= PRESENT_FROM).astype(np.float32)  # (rows, L); float32 runs on BLAS
        counts += present.sum(0, dtype=np.int64)
        pairs += (present.T @ present).astype(dtype)
        unknown = (rows == UNKNOWN).astype(np.float32)
        if unknown.any():
            if unknown_pairs is None or present_unknown is None:
                unknown_pairs, present_unknown = np.zeros_like(pairs), np.zeros_like(pairs)
            unknown_counts += unknown.sum(0, dtype=np.int64)
            unknown_pairs += (unknown.T @ unknown).astype(dtype)
            present_unknown += (present.T @ unknown).astype(dtype)
    gaps = None
    if unknown_pairs is not None and present_unknown is not None:
        gaps = UnknownCounts(
            unknown_counts,
            upper_of_dense(unknown_pairs, dtype),
            sparse.csr_array(present_unknown),
        )
    return TargetCounts(N, counts, upper_of_dense(pairs, dtype), gaps)


def _count_sparse(matrix: sparse.csr_array) -> TargetCounts:
    N, L = matrix.shape
    dtype = count_dtype(N)
    present = _where(matrix, matrix.data >= PRESENT_FROM)
    counts = np.bincount(present.indices, minlength=L).astype(np.int64)
    is_unknown = matrix.data == UNKNOWN
    gaps = None
    if is_unknown.any():
        unknown = _where(matrix, is_unknown)
        together = (present.T.astype(dtype) @ unknown.astype(dtype)).tocoo()
        gaps = UnknownCounts(
            np.bincount(unknown.indices, minlength=L).astype(np.int64),
            upper_gram(unknown, dtype),
            from_triples(together.row, together.col, together.data, L, dtype),
        )
    return TargetCounts(N, counts, upper_gram(present, dtype), gaps)


def _where(matrix: sparse.csr_array, chosen: NDArray[np.bool_]) -> sparse.csr_array:
    """Returns the 0/1 matrix of the stored entries selected by ``chosen``."""
    if chosen.all():  # the common case: share the indices, which are most of the memory
        ones = np.ones(len(chosen), np.int8)
        return sparse.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
    before = np.r_[0, np.cumsum(chosen)]
    ones = np.ones(before[-1], np.int8)
    pointer = before[matrix.indptr]
    return sparse.csr_array((ones, matrix.indices[chosen], pointer), shape=matrix.shape)
