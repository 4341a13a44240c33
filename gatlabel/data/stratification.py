"""Stratified division of multi-label images: every part gets its share of every label."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.targets import Targets
from gatlabel.values import shown

#: Maximum size of a group, relative to the largest part.
CROWDED = 1.5


def stratify(
    targets: Targets | ArrayLike,
    fractions: Sequence[float],
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> list[NDArray[np.int64]]:
    """Divides rows into parts by iterative stratification.

    Repeatedly takes the label with the fewest rows left. Each of its rows goes to the part that
    lacks most rows of this label; ties are broken by the part that lacks most rows, then at random.
    Rows without labels fill up the parts. Rare labels are thus divided first, while there is a
    choice. From Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML
    PKDD 2011, algorithm 1, with one addition: a part that has its share of rows gets no more.
    Otherwise all rows of labels that occur once would go to the largest part.

    With groups, whole groups are divided in the same way: larger groups of a label first, and
    before all others those that are large for the smallest part. A group of several rows has
    several labels; it goes to the part whose squared distance from its share of all labels
    decreases most. No part gets a group that exceeds it while another has space.

    Args:
        targets: ``(N, L)``; a row has the labels whose target is 1.
        fractions: The share of each part, positive; they are scaled to sum to 1.
        seed: The same seed gives the same parts.
        groups: The group of each row, N values; rows of a group stay in one part.

    Returns:
        The rows of each part, ascending: a partition of ``range(N)``. Without groups, each part is
        within one row of its share.

    Raises:
        InputError: If a part would be empty because there are too few rows or groups, a fraction is
            not positive, or a group exceeds the largest part by half.
    """
    if len(fractions) == 0 or not all(0 < share < np.inf for share in fractions):
        raise InputError(f"split fractions must be positive, got {tuple(fractions)}")
    targets = Targets.of(targets)
    share = np.asarray(fractions, dtype=np.float64) / sum(fractions)
    rng = np.random.default_rng(seed)
    wanted_rows = _sizes(share * len(targets))  # (P,)
    if not wanted_rows.all():
        raise InputError(
            f"{len(targets)} images are too few to split {tuple(fractions)}: a part would be "
            "empty; give more images, other fractions, or your own split"
        )
    member, sizes = _members(len(targets), groups)
    _check_groups(groups, member, sizes, wanted_rows)
    counts = _group_counts(targets, member, len(sizes))  # (G, L), sparse
    of_label = counts.tocsc()
    totals = _sum_of(counts, np.arange(len(sizes)))
    wanted = share[:, None] * totals  # (P, L)
    part = np.full(len(sizes), -1, dtype=np.int64)
    held = np.zeros(len(share), dtype=np.int64)  # groups in each part

    def assign(group: int, desire: NDArray[np.float64]) -> None:
        open_for_more = wanted_rows >= sizes[group]
        if not open_for_more.any():
            open_for_more = wanted_rows == wanted_rows.max()
        if len(sizes) - held.sum() <= (held == 0).sum():  # no part may stay empty
            open_for_more = held == 0
        desire = np.where(open_for_more, desire, -np.inf)
        best = np.flatnonzero(desire >= desire.max() - 1e-9)
        if len(best) > 1:
            best = best[wanted_rows[best] == wanted_rows[best].max()]
        chosen = int(best[0] if len(best) == 1 else rng.choice(best))
        part[group] = chosen
        held[chosen] += 1
        wanted_rows[chosen] -= sizes[group]
        labels, here = _entries_of(counts, group)
        wanted[chosen, labels] -= here

    def need(group: int) -> NDArray[np.float64]:
        """Returns the decrease of each part's squared distance, relative to the group's size."""
        had = np.zeros(len(totals))
        labels, here = _entries_of(counts, group)
        had[labels] = here / np.maximum(totals[labels], 1)
        lacking = wanted / np.maximum(totals, 1)  # (P, L)
        fall: NDArray[np.float64] = (2 * lacking * had - had**2).sum(axis=1) / share
        return fall

    def in_order(chosen: NDArray[np.int64]) -> list[int]:
        shuffled = rng.permutation(chosen)
        return shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist()

    large = sizes > max(1.0, wanted_rows.min() / 4)
    for group in in_order(np.flatnonzero(large)) if large.any() else []:
        assign(group, need(group))
    left = totals - _sum_of(counts, np.flatnonzero(part >= 0))
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(left.dtype).max)))
        chosen, _ = _entries_of(of_label, label)
        chosen = chosen[part[chosen] < 0].astype(np.int64)
        for group in in_order(chosen):
            assign(group, wanted[:, label] if sizes[group] == 1 else need(group))
        left = left - _sum_of(counts, chosen)
    for group in in_order(np.flatnonzero(part < 0)):
        assign(group, wanted_rows.astype(np.float64))

    return [np.flatnonzero(part[member] == index) for index in range(len(share))]


def _group_counts(targets: Targets, member: NDArray[np.int64], groups: int) -> sparse.csr_array:
    """Counts the rows with each label per group: int64 ``(G, L)``, canonical."""
    present = targets.present().tocoo()
    ones = np.ones(present.nnz, dtype=np.int64)
    shape = (groups, targets.shape[1])
    counts = sparse.csr_array((ones, (member[present.row], present.col)), shape=shape)
    counts.sum_duplicates()
    return counts


def _entries_of(
    matrix: sparse.csr_array | sparse.csc_array, index: int
) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Returns positions and values of the stored entries of a CSR row or a CSC column."""
    here = slice(matrix.indptr[index], matrix.indptr[index + 1])
    return matrix.indices[here], matrix.data[here]


def _sum_of(counts: sparse.csr_array, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """Sums rows: int64 ``(L,)``."""
    total = np.zeros(counts.shape[1], dtype=np.int64)
    part = counts[rows]
    np.add.at(total, part.indices, part.data)
    return total


def _members(
    rows: int, groups: Sequence[Hashable] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers the groups: returns the group number of each row, and the rows of each group."""
    if groups is None:
        return np.arange(rows), np.ones(rows, dtype=np.int64)
    if len(groups) != rows:
        raise InputError(f"{len(groups)} groups for {rows} images: give one per image")
    numbers: dict[Hashable, int] = {}
    member = np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)
    return member, np.bincount(member, minlength=len(numbers))


def _check_groups(
    groups: Sequence[Hashable] | None,
    member: NDArray[np.int64],
    sizes: NDArray[np.int64],
    wanted_rows: NDArray[np.int64],
) -> None:
    if groups is None:
        return
    if len(sizes) < len(wanted_rows):
        raise InputError(
            f"there are {len(wanted_rows)} parts but only {len(sizes)} groups of images, which are "
            "not divided: give fewer parts or finer groups"
        )
    largest = int(sizes.argmax())
    if sizes[largest] > CROWDED * wanted_rows.max():
        name = groups[int(np.argmax(member == largest))]
        raise InputError(
            f"the group {shown(name)} has {sizes[largest]} of {sizes.sum()} images, too many to "
            f"stay whole in a part of {wanted_rows.max()}: give fewer parts or finer groups"
        )


def _sizes(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rounds shares of rows to integers of the same sum, rounding up the largest remainders."""
    sizes = np.floor(shares + 1e-9).astype(np.int64)
    short = round(float(shares.sum())) - int(sizes.sum())
    sizes[np.argsort(sizes - shares, kind="stable")[:short]] += 1
    return sizes
