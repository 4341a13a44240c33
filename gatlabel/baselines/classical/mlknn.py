"""ML-kNN: label counts among neighbours, and the log-odds of each count."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import torch
from torch import Tensor

from gatlabel.baselines.classical.known import KnownTargets
from gatlabel.baselines.regression import group_numbers
from gatlabel.errors import InputError
from gatlabel.model.head_file import MOST
from gatlabel.nn.heads.fitted.mlknn import MLkNNHead

AT_ONCE = 512  # images


def fit_mlknn(
    features: Tensor,
    targets: Tensor,
    *,
    neighbours: int = 10,
    smoothing: float = 1.0,
    metric: Literal["euclidean", "cosine"] = "cosine",
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> MLkNNHead:
    r"""Fits ML-kNN (Zhang and Zhou, Pattern Recognition 40, 2007, figure 1).

    With the number C of the k nearest other images that have the label, and smoothing s,

    .. math:: P(H_1) = \frac{s + \sum y}{2 s + n}, \qquad
              P(C = j | H_b) = \frac{s + \kappa_b[j]}{s (k + 1) + \sum_r \kappa_b[r]},

    where κ is the histogram of C over the images with and without the label. n and the neighbours
    are restricted to images for which the label is known, and exclude the image and its group.

    Args:
        features: ``(N, D)``; kept in float32.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        neighbours: k; capped by the number of images outside the largest group.
        smoothing: s, above 0.
        metric: ``euclidean`` as in the paper, or ``cosine``.
        seed: Unused; part of the common interface.
        groups: The group of each image, if images belong together.

    Raises:
        InputError: If there are more images than a saved model may hold.
    """
    refuse_many(len(features))
    known = KnownTargets.of(targets)
    patterns = known.patterns(usable=False)
    unit = group_numbers(groups, len(features))
    k = min(neighbours, len(features) - int(unit.bincount().max()))
    head = MLkNNHead(
        features.shape[1],
        targets.shape[1],
        images=len(features),
        patterns=len(patterns),
        neighbours=k,
        metric=metric,
    )
    head.features.copy_(features)
    head.present.copy_(known.present)
    for number, labels in enumerate(patterns):
        head.pattern[labels] = number
        head.known[number] = known.known[:, labels[0]]
    counts = _own_counts(head, unit)
    head.evidence.copy_(_evidence(counts, known, k, smoothing))
    return head


def refuse_many(images: int) -> None:
    """Refuses more training images than a saved model may hold.

    Raises:
        InputError: The message says how many there are.
    """
    if images > MOST:
        raise InputError(
            f"mlknn keeps all training images, at most {MOST} of them: there are {images}; use "
            "another method"
        )


def _own_counts(head: MLkNNHead, unit: Tensor) -> Tensor:
    """Counts the labels among the neighbours of each training image, excluding its group."""
    parts = []
    for first in range(0, len(head.features), AT_ONCE):
        rows = torch.arange(first, min(first + AT_ONCE, len(head.features)))
        distances = head.distances(head.features[rows].double())
        distances[unit[rows, None] == unit] = torch.inf
        parts.append(head.counts(distances))
    return torch.cat(parts)


def _evidence(counts: Tensor, known: KnownTargets, k: int, smoothing: float) -> Tensor:
    """Log-odds by count ``(L, k + 1)``."""
    likelihoods, priors = [], []
    total = known.known.sum(0).double()
    for state in (known.present, known.known & ~known.present):
        each = torch.stack([((counts == j) & state).sum(0) for j in range(k + 1)], 1).double()
        count = state.sum(0).double()
        likelihoods.append((smoothing + each) / (smoothing * (k + 1) + count)[:, None])
        priors.append((smoothing + count) / (2 * smoothing + total))
    prior = torch.where(total > 0, (priors[0] / priors[1]).log(), known.rates.logit())
    return (likelihoods[0] / likelihoods[1]).log() + prior[:, None]
