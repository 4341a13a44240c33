"""Masking or corrupting known labels, to measure the cost of missing and wrong labels.

Arrays ``(N, L)`` here are dense or CSR; both select the same entries for the same seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN
from gatlabel.target_values import Values

_CHUNK_VALUES = 1 << 22  # target values per dense chunk


def mask_share(values: Values, share: float, seed: int) -> Values:
    """Makes exactly ``round(share * known)`` of the known entries unknown, all equally likely.

    With the same seed, a larger share masks all entries that a smaller share does.

    Raises:
        InputError: If the share is not at least 0 and below 1.
    """
    _check_share("mask", share)
    rng = np.random.default_rng(seed)
    if isinstance(values, np.ndarray):
        result = values.astype(np.float32, order="C")
        known = np.flatnonzero(result != UNKNOWN)
        result.ravel()[_drawn(known, share, rng)] = UNKNOWN
        return result
    rows = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    stored = rows * values.shape[1] + values.indices  # positions as if dense, ascending
    known = np.arange(values.shape[0] * values.shape[1])
    masked = _drawn(np.delete(known, stored[values.data == UNKNOWN]), share, rng)
    kept = ~np.isin(stored, masked)
    positions = np.concatenate([stored[kept], masked])
    data = np.concatenate([values.data[kept], np.full(len(masked), UNKNOWN)])
    place = np.divmod(positions, values.shape[1])
    return sparse.csr_array((data.astype(np.float32), place), shape=values.shape)


def mask_all_but_one(values: Values, seed: int) -> Values:
    """Keeps one present label per image, drawn at random; all other entries become unknown.

    As in Cole et al., "Multi-label learning from single positive labels", CVPR 2021. An image
    without a present label becomes completely unknown; soft labels do not count as present.
    """
    rng = np.random.default_rng(seed)
    if isinstance(values, np.ndarray):
        return _one_per_row(values, rng)
    step = max(1, _CHUNK_VALUES // max(values.shape[1], 1))
    parts = [
        sparse.csr_array(_one_per_row(values[start : start + step].toarray(), rng))
        for start in range(0, values.shape[0], step)
    ]
    return sparse.csr_array(sparse.vstack(parts)) if parts else values


def corrupt(values: Values, share: float, seed: int) -> Values:
    """Corrupts labels: a share of each label's positives is exchanged with negatives.

    The frequency of a label is preserved; the images with the label, and thus co-occurrence,
    become wrong. The count is rounded and limited by the number of negatives.

    Raises:
        InputError: If the share is not at least 0 and below 1.
    """
    _check_share("label noise", share)
    rng = np.random.default_rng(seed)
    if isinstance(values, np.ndarray):
        result = values.astype(np.float32, order="C")
        for column in result.T:
            _corrupt_column(column, share, rng)
        return result
    columns, found = values.tocsc(), []
    for start, stop in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
        column = np.zeros(values.shape[0], np.float32)
        column[columns.indices[start:stop]] = columns.data[start:stop]
        _corrupt_column(column, share, rng)
        rows = np.flatnonzero(column)
        found.append((column[rows], rows))
    pointer = np.cumsum([0, *(len(rows) for _, rows in found)])
    data, rows = (np.concatenate([np.empty(0), *part]) for part in zip(*found, strict=True))
    shape = values.shape
    return sparse.csc_array((data.astype(np.float32), rows, pointer), shape=shape).tocsr()


def _drawn(known: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(known)[: round(share * len(known))]


def _one_per_row(values: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
    chosen = np.where(values == PRESENT, rng.random(values.shape), -1.0)
    best = chosen.max(axis=1, keepdims=True, initial=-1.0)
    keep = (chosen == best) & (best >= 0)
    return np.where(keep, PRESENT, UNKNOWN).astype(np.float32)


def _corrupt_column(column: NDArray[np.float32], share: float, rng: np.random.Generator) -> None:
    present, absent = np.flatnonzero(column == PRESENT), np.flatnonzero(column == ABSENT)
    count = min(round(share * len(present)), len(absent))
    column[rng.permutation(present)[:count]] = ABSENT
    column[rng.permutation(absent)[:count]] = PRESENT


def _check_share(what: str, share: float) -> None:
    if not 0 <= share < 1:
        raise InputError(f"{what}: the share {share} must be at least 0 and below 1")
