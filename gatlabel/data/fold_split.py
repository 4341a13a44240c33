"""Cross-validation folds, stratified by label."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatlabel.data.stratification import stratify
from gatlabel.errors import InputError
from gatlabel.targets import Targets


def folds(
    targets: Targets | ArrayLike,
    count: int,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Divides images into folds of equal size, stratified by label.

    See :func:`~gatlabel.data.stratify` for the algorithm.

    Args:
        targets: ``(N, L)``; a label counts as present where its target is 1.
        count: Number of folds, at least 2 and at most N.
        groups: The group of each image, N values; a group is never divided between folds.
        seed: The same seed gives the same folds.

    Returns:
        ``(N,)``: the fold of each image, 0 to ``count - 1``. No fold is empty. Without groups,
        their sizes differ by at most one image.

    Raises:
        InputError: If there are too few images or groups, or a group is too large for a fold.
    """
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 2:
        raise InputError(f"folds={count}: give a whole number of at least 2")
    targets = Targets.of(targets)
    if count > len(targets):
        raise InputError(f"folds={count}: there are only {len(targets)} images")
    fold_of = np.empty(len(targets), dtype=np.int64)
    for fold, rows in enumerate(stratify(targets, [1.0] * int(count), seed, groups)):
        fold_of[rows] = fold
    return fold_of
