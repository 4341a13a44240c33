"""Counts from elsewhere: matrices, lists of triples, npz files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from gatlabel.array_reading import read_npz
from gatlabel.errors import InputError
from gatlabel.graph.counts import Counts
from gatlabel.graph.sparse_counts import (
    count_dtype,
    from_triples,
    refuse_overflow,
    whole_numbers,
)
from gatlabel.labels import LabelSet


def read_counts(
    label_counts: ArrayLike, pair_counts: Any, images: int | None, names: Iterable[str]
) -> Counts:
    """Reads counts over images whose labels are all known; see :meth:`Cooccurrence.from_counts`."""
    labels = LabelSet(names)
    singles = whole_numbers(label_counts, "label counts")
    if singles.shape != (len(labels),):
        raise InputError(f"label counts have shape {singles.shape}, not ({len(labels)},)")
    total = None if images is None else int(whole_numbers(images, "the number of images"))
    pairs = _read_pairs(pair_counts, singles, labels, count_dtype(total))
    return Counts(labels, total, singles, pairs)


def _read_pairs(
    pair_counts: Any,
    label_counts: NDArray[np.int64],
    labels: LabelSet,
    dtype: type[np.signedinteger],
) -> sparse.csr_array:
    """Converts pair counts of any accepted form into a strict upper triangle.

    Args:
        pair_counts: ``(L, L)`` array, tensor or scipy sparse matrix, or a list of ``[i, j, n]``.
        label_counts: int64 ``(L,)``.
        labels: The L labels, for messages.
        dtype: Integer type of the result.

    Raises:
        InputError: If counts are negative or fractional, a matrix is not symmetric or its diagonal
            is neither zero nor ``label_counts``, or a pair of the list is out of range, joins a
            label with itself, or appears twice.
    """
    L = len(labels)
    if sparse.issparse(pair_counts):
        matrix: sparse.csr_array = sparse.csr_array(cast(Any, pair_counts))
        if matrix.shape != (L, L):
            raise InputError(f"pair counts have shape {matrix.shape}, expected ({L}, {L})")
        return _from_matrix(matrix, label_counts, labels, dtype)
    if isinstance(pair_counts, torch.Tensor):
        pair_counts = pair_counts.cpu().numpy()
    try:
        array = whole_numbers(pair_counts, "pair counts")
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"pair counts must be an ({L}, {L}) matrix or a list of [i, j, n]"
        ) from error
    if array.size == 0:
        return sparse.csr_array((L, L), dtype=dtype)
    refuse_overflow(array, dtype, "pair counts")
    if array.shape == (L, L) and not (L == 3 and (array[:, 0] < array[:, 1]).all()):
        # a 3 x 3 list whose rows all have i < j cannot be a symmetric matrix: its last row would
        # have a negative count
        return _from_matrix(sparse.csr_array(array), label_counts, labels, dtype)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(
            f"pair counts have shape {array.shape}: expected ({L}, {L}) or a list of [i, j, n]"
        )
    return _from_list(array, labels, dtype)


def _from_matrix(
    matrix: sparse.csr_array,
    label_counts: NDArray[np.int64],
    labels: LabelSet,
    dtype: type[np.signedinteger],
) -> sparse.csr_array:
    stored = matrix.tocoo()
    values = whole_numbers(stored.data, "pair counts")
    refuse_overflow(values, dtype, "pair counts")
    difference = (matrix - matrix.T).tocoo()
    wrong = np.flatnonzero(difference.data)
    if len(wrong):
        i, j = int(difference.row[wrong[0]]), int(difference.col[wrong[0]])
        raise InputError(
            f"pair counts are not symmetric: {matrix[i, j]} for {labels[i]!r}, {labels[j]!r} and "
            f"{matrix[j, i]} for the reverse pair"
        )
    diagonal = matrix.diagonal()
    if diagonal.any() and not np.array_equal(diagonal, label_counts):
        raise InputError(
            "the diagonal of the pair counts must be zero, or equal to the label counts"
        )
    upper = stored.row < stored.col
    return from_triples(stored.row[upper], stored.col[upper], values[upper], len(labels), dtype)


def _from_list(
    triples: NDArray[np.int64], labels: LabelSet, dtype: type[np.signedinteger]
) -> sparse.csr_array:
    rows, columns = triples[:, :2].min(1), triples[:, :2].max(1)
    bad = (columns >= len(labels)) | (rows == columns)
    if bad.any():
        k = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"pair {k} is {triples[k].tolist()}: expected [i, j, n] with two different labels "
            f"between 0 and {len(labels) - 1}"
        )
    unique, counts = np.unique(rows * len(labels) + columns, return_counts=True)
    if (counts > 1).any():
        i, j = divmod(int(unique[counts > 1][0]), len(labels))
        raise InputError(f"the pair {labels[i]!r}, {labels[j]!r} appears more than once")
    return from_triples(rows, columns, triples[:, 2], len(labels), dtype)


def read_mlgcn(
    arrays: Mapping[str, ArrayLike] | str | os.PathLike[str],
) -> tuple[ArrayLike, NDArray[Any]]:
    """Reads label counts ``nums (L,)`` and pair counts ``adj (L, L)`` from a mapping or npz file.

    Raises:
        InputError: If the file cannot be read or an array is missing.
    """
    if isinstance(arrays, str | os.PathLike):
        arrays = read_npz(arrays, "ML-GCN counts")
    missing = {"nums", "adj"} - set(arrays)
    if missing:
        raise InputError(
            f"ML-GCN counts need the arrays 'nums' and 'adj'; missing: {sorted(missing)}"
        )
    return arrays["nums"], np.asarray(arrays["adj"])
