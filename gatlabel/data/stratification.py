"""Dividing multi-labelled pictures so that every part has its share of every label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError


def stratify(
    present: NDArray[np.bool_], fractions: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Divides rows into parts by iterative stratification.

    Takes the label with the fewest rows left, gives each of its rows to the part that still
    wants most of this label (ties: the part that wants most rows; then chance), and so on; rows
    without a label fill up what is wanted. So rare labels are divided first, while there is
    still a choice. From Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label
    data", ECML PKDD 2011, algorithm 1; with one addition: a part that has its share of rows
    gets no more, since otherwise the rows of labels that occur once all go to the largest part.

    Args:
        present: bool ``(N, L)``: whether the row has the label.
        fractions: The share of each part, positive; they are scaled to sum to 1.
        seed: The same seed gives the same parts.

    Returns:
        For each part the rows in it, ascending: a partition of ``range(N)``, each part within
        one row of its share.

    Raises:
        InputError: If a part stays empty because there are too few rows, or a fraction is not
            positive.
    """
    if len(fractions) == 0 or not all(0 < share < np.inf for share in fractions):
        raise InputError(f"split fractions must be positive, got {tuple(fractions)}")
    share = np.asarray(fractions, dtype=np.float64) / sum(fractions)
    rng = np.random.default_rng(seed)
    wanted_rows = _sizes(share * len(present))  # (P,)
    if not wanted_rows.all():
        raise InputError(
            f"{len(present)} pictures are too few to split {tuple(fractions)}: a part would be "
            "empty; give more pictures, other fractions, or a split of your own"
        )
    wanted = share[:, None] * present.sum(axis=0)  # (P, L)
    part = np.full(len(present), -1, dtype=np.int64)

    def assign(row: int, desire: NDArray[np.float64]) -> None:
        open_for_more = np.where(wanted_rows > 0, desire, -np.inf)
        best = np.flatnonzero(open_for_more >= open_for_more.max() - 1e-9)
        if len(best) > 1:
            best = best[wanted_rows[best] == wanted_rows[best].max()]
        chosen = int(best[0] if len(best) == 1 else rng.choice(best))
        part[row] = chosen
        wanted_rows[chosen] -= 1
        wanted[chosen, present[row]] -= 1

    left = present.sum(axis=0)
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(left.dtype).max)))
        rows = np.flatnonzero(present[:, label] & (part < 0))
        for row in rng.permutation(rows):
            assign(int(row), wanted[:, label])
        left = left - present[rows].sum(axis=0)
    for row in rng.permutation(np.flatnonzero(part < 0)):
        assign(int(row), wanted_rows.astype(np.float64))

    return [np.flatnonzero(part == index) for index in range(len(share))]


def _sizes(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rounds shares of rows to whole rows of the same sum, the largest remainders up."""
    sizes = np.floor(shares + 1e-9).astype(np.int64)
    short = round(float(shares.sum())) - int(sizes.sum())
    sizes[np.argsort(sizes - shares, kind="stable")[:short]] += 1
    return sizes
