"""Episodes: the support images of each novel label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError
from gatlabel.fewshot.splits import positives_of

Rows = NDArray[np.int64]


def support_rows(
    targets: NDArray[np.floating], novel: Sequence[int], shots: int, seed: int, episode: int
) -> Rows:
    """Draws K images of each novel label; a function of seed, episode and label.

    With fewer shots, the images are a subset of those with more. The images of a label do not
    depend on which other labels are novel. An image can show several novel labels, so a label may
    have more than K positives in the support set.

    Args:
        targets: ``(N, L)`` of the training images.
        novel: Positions of the novel labels.
        shots: K, at least 0.
        seed: The same seed and episode draw the same images.
        episode: Number of the episode.

    Returns:
        Rows of the images, ascending and unique.

    Raises:
        InputError: If a label has fewer than K positives.
    """
    found: set[int] = set()
    for label in novel:
        rows = positives_of(targets[:, label])
        if len(rows) < shots:
            raise InputError(
                f"label number {label} has {len(rows)} training images, fewer than {shots} shots"
            )
        order = np.random.default_rng([seed, episode, label]).permutation(len(rows))
        found.update(rows[order[:shots]].tolist())
    return np.array(sorted(found), dtype=np.int64)
