"""Hiding known labels, or making them wrong, to measure what that costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN


def hide_labels(targets: ArrayLike, share: float, seed: int = 0) -> NDArray[np.float32]:
    """Makes a share of the known entries unknown, each entry with the same chance.

    Args:
        targets: ``(N, L)``: 0 to 1, or -1 for unknown.
        share: Of the known entries, at least 0 and below 1. Exactly ``round(share * known)`` are
            hidden, over all pictures and labels together.
        seed: The same seed hides the same entries, and of two shares the larger hides all that
            the smaller does.

    Returns:
        float32 ``(N, L)``, a copy.

    Raises:
        InputError: If the share is out of range or the targets are no ``(N, L)``.

    Example:
        >>> hide_labels([[1, 0, 1, 0], [0, 0, -1, 1]], 0.5, seed=1)
        array([[-1., -1.,  1.,  0.],
               [-1., -1., -1.,  1.]], dtype=float32)
    """
    if not 0 <= share < 1:
        raise InputError(f"hide_labels={share}: the share to hide is at least 0 and below 1")
    result = _copied(targets)
    known = np.flatnonzero(result != UNKNOWN)
    order = np.random.default_rng(seed).permutation(known)
    result.ravel()[order[: round(share * len(known))]] = UNKNOWN
    return result


def single_positive(targets: ArrayLike, seed: int = 0) -> NDArray[np.float32]:
    """Keeps one label a picture that is present, at random; everything else becomes unknown.

    The setting of Cole et al., "Multi-label learning from single positive labels", CVPR 2021.
    Pictures without a label that is present become unknown altogether.

    Args:
        targets: ``(N, L)``: 0 to 1, or -1 for unknown; 1 is present, soft labels are not.
        seed: The same seed keeps the same labels.

    Returns:
        float32 ``(N, L)`` of 1 and -1, a copy.

    Raises:
        InputError: If the targets are no ``(N, L)``.

    Example:
        >>> single_positive([[1, 0, 1, 0], [0, 0, -1, 0]], seed=1)
        array([[ 1., -1., -1., -1.],
               [-1., -1., -1., -1.]], dtype=float32)
    """
    given = _copied(targets)
    chance = np.random.default_rng(seed).random(given.shape)
    chosen = np.where(given == PRESENT, chance, -1.0)
    best = chosen.max(axis=1, keepdims=True, initial=-1.0)
    keep = (chosen == best) & (best >= 0)
    return np.where(keep, PRESENT, UNKNOWN).astype(np.float32)


def move_labels(targets: ArrayLike, share: float, seed: int = 0) -> NDArray[np.float32]:
    """Makes labels wrong: a share of each label's positives change places with negatives.

    Frequencies stay as they are; what is said of single pictures, and so of which labels occur
    together, becomes wrong.

    Args:
        targets: ``(N, L)``: 0 to 1, or -1 for unknown, which stays.
        share: Of each label's positives (targets of 1), at least 0 and below 1; rounded, and no
            more than there are negatives.
        seed: The same seed moves the same labels.

    Returns:
        float32 ``(N, L)``, a copy.

    Raises:
        InputError: If the share is out of range or the targets are no ``(N, L)``.

    Example:
        >>> move_labels([[1, 0], [1, 0], [0, 1], [0, 0]], 0.5, seed=0).sum(axis=0)
        array([2., 1.], dtype=float32)
    """
    if not 0 <= share < 1:
        raise InputError(f"label_noise={share}: the share to move is at least 0 and below 1")
    result = _copied(targets)
    rng = np.random.default_rng(seed)
    for column in result.T:
        present, absent = np.flatnonzero(column == PRESENT), np.flatnonzero(column == ABSENT)
        count = min(round(share * len(present)), len(absent))
        column[rng.permutation(present)[:count]] = ABSENT
        column[rng.permutation(absent)[:count]] = PRESENT
    return result


def _copied(targets: ArrayLike) -> NDArray[np.float32]:
    result = np.asarray(targets).astype(np.float32, order="C")  # a copy, of tensors too
    if result.ndim != 2:
        raise InputError(f"targets have shape {result.shape}, expected (N, L): one row a picture")
    return result
