"""Selection of images for a report: a random sample, and the most confident mistakes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Mistake(NamedTuple):
    """One wrong decision: image and label by position."""

    image: int
    label: int


def sample(count: int, most: int, seed: int = 0) -> NDArray[np.int64]:
    """Returns ``most`` of ``count`` positions drawn at random, the same for the same seed.

    Returns:
        Sorted int64 positions, all of them if there are no more than ``most``.
    """
    drawn = np.random.default_rng(seed).permutation(count)[:most]
    return np.sort(drawn).astype(np.int64)


def worst_mistakes(
    logits: NDArray[np.float64],
    targets: NDArray[np.float64],
    threshold: NDArray[np.float64],
    *,
    present: bool,
    most: int = 8,
    most_per_label: int = 2,
) -> list[Mistake]:
    """Finds the most confident wrong decisions, in descending order of confidence.

    They are ranked by logit, not by probability, since sigmoids of large logits tie.

    Args:
        logits: ``(N, L)``.
        targets: ``(N, L)``; -1 (unknown) is never a mistake, a soft label is present from 0.5.
        threshold: Probability from which a label counts as predicted, ``()`` or ``(L,)``.
        present: ``True`` for present labels scored low (false negatives), ``False`` for absent
            labels scored high (false positives).
        most: Maximum number of mistakes.
        most_per_label: Maximum number per label, so that one label cannot fill the page. An image
            is shown once.
    """
    predicted = probabilities(logits) >= threshold
    if present:
        wrong, badness = (targets >= 0.5) & ~predicted, -logits
    else:
        wrong, badness = (targets >= 0) & (targets < 0.5) & predicted, logits
    images, labels = np.nonzero(wrong)
    order = np.argsort(-badness[images, labels], kind="stable")
    shown: set[int] = set()
    per_label: dict[int, int] = {}
    found: list[Mistake] = []
    for image, label in zip(images[order].tolist(), labels[order].tolist(), strict=True):
        if image in shown or per_label.get(label, 0) >= most_per_label:
            continue
        shown.add(image)
        per_label[label] = per_label.get(label, 0) + 1
        found.append(Mistake(image, label))
        if len(found) == most:
            break
    return found


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the sigmoid, without overflow for large logits."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
