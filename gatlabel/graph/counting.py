"""Counting labels and pairs of labels in targets, in chunks, with unknown entries left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.graph.counts import UnknownCounts
from gatlabel.graph.gram import upper_gram
from gatlabel.graph.sparse_counts import count_dtype, from_triples, upper_of_dense
from gatlabel.labels import UNKNOWN, LabelSet, check_targets

PRESENT_FROM = 0.5
"""A soft target counts as present from this value on, and as absent below it."""

_CHUNK_VALUES = 1 << 22  # target values of a chunk when the caller names no number of rows


@dataclass(frozen=True)
class TargetCounts:
    """What one pass over targets ``(N, L)`` gives.

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


def count_targets(targets: Any, labels: LabelSet, chunk: int | None = None) -> TargetCounts:
    """Counts labels and pairs.

    Args:
        targets: ``(N, L)`` array, tensor (also a sparse one) or scipy sparse matrix: 1 present,
            0 absent, between them soft (present from 0.5 on), -1 unknown. In a sparse one an
            entry that is not stored is 0, and an unknown is a stored -1.
        labels: The L labels.
        chunk: Rows of a dense array to treat at a time; by default about 4 million values.

    Raises:
        InputError: If the shape does not fit the labels, a value is out of range, or ``chunk``
            is not positive.
    """
    if chunk is not None and not 1 <= chunk < 2**24:  # float32 products are exact below 2^24
        raise InputError(f"chunk is {chunk}: it must be between 1 and {2**24 - 1} rows")
    if isinstance(targets, torch.Tensor) and targets.layout != torch.strided:
        coo = targets.detach().cpu().to_sparse_coo().coalesce()
        values, (rows, columns) = coo.values().numpy(), coo.indices().numpy()
        targets = sparse.csr_array((values, (rows, columns)), shape=tuple(coo.shape))
    if sparse.issparse(targets):
        return _count_sparse(targets, labels)
    if not isinstance(targets, torch.Tensor | np.ndarray):
        targets = np.asarray(targets, dtype=np.float64)
    if targets.ndim != 2:
        check_targets(np.empty(tuple(targets.shape)), labels)
    return _count_dense(targets, labels, chunk or max(1, _CHUNK_VALUES // max(len(labels), 1)))


def _count_dense(
    targets: NDArray[Any] | torch.Tensor, labels: LabelSet, chunk: int
) -> TargetCounts:
    N, L = len(targets), len(labels)
    dtype = count_dtype(N)
    counts, pairs = np.zeros(L, np.int64), np.zeros((L, L), dtype)
    unknown_counts = np.zeros(L, np.int64)
    unknown_pairs: NDArray[Any] | None = None  # most data sets need neither of these two
    present_unknown: NDArray[Any] | None = None
    for start in range(0, N, chunk):
        rows = targets[start : start + chunk]
        if isinstance(rows, torch.Tensor):
            # NumPy has no bfloat16
            rows = rows.detach().cpu().to(torch.float64 if rows.is_floating_point() else rows.dtype)
            rows = rows.numpy()
        check_targets(rows, labels, first_row=start)
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
    if N == 0:
        check_targets(np.empty(tuple(targets.shape)), labels)
    gaps = None
    if unknown_pairs is not None and present_unknown is not None:
        gaps = UnknownCounts(
            unknown_counts,
            upper_of_dense(unknown_pairs, dtype),
            sparse.csr_array(present_unknown),
        )
    return TargetCounts(N, counts, upper_of_dense(pairs, dtype), gaps)


def _count_sparse(targets: Any, labels: LabelSet) -> TargetCounts:
    matrix = sparse.csr_array(targets)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    _check_sparse(matrix, labels)
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
    """Returns the 0/1 matrix of the stored entries that are chosen."""
    if chosen.all():  # the usual case: share the indices, which are most of the memory
        ones = np.ones(len(chosen), np.int8)
        return sparse.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
    before = np.r_[0, np.cumsum(chosen)]
    ones = np.ones(before[-1], np.int8)
    pointer = before[matrix.indptr]
    return sparse.csr_array((ones, matrix.indices[chosen], pointer), shape=matrix.shape)


def _check_sparse(matrix: sparse.csr_array, labels: LabelSet) -> None:
    if matrix.shape[1] != len(labels):
        check_targets(np.broadcast_to(0.0, matrix.shape), labels)
    bad = ~(((matrix.data >= 0) & (matrix.data <= 1)) | (matrix.data == UNKNOWN))
    if bad.any():
        entry = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
        raise InputError(
            f"target {matrix.data[entry]} in row {row}, label "
            f"{labels[int(matrix.indices[entry])]!r}: values are 0 to 1, or -1 for unknown"
        )
