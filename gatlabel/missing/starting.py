"""Closed-form initialisation of a linear classifier with unknown targets that are completed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.baselines.ridge import LinearStart
from gatlabel.baselines.similarity.start import Sharing, shared_start
from gatlabel.labels import UNKNOWN
from gatlabel.missing.base import Completion

#: Fits classifiers to targets ``(N, L)``, shared between labels as the second argument says.
Starter = Callable[[Tensor, Sharing], LinearStart]
#: Number of similar images whose mean features get the targets of a labelled image, too.
NEIGHBOURS = 5
ROWS = 1024  # images compared with all others at a time


def completed_start(
    start: Starter,
    completion: Completion,
    features: Tensor,
    sharing: Sharing = None,
    groups: Sequence[Hashable] | None = None,
) -> LinearStart:
    """Fits a linear classifier to targets in which estimates replace the unknown entries.

    A first classifier is fitted to the known targets. Its estimates, combined with the label graph
    as probabilities, complete the targets to which the second classifier is fitted. The result
    interpolates between the two. The weight of the second is the square root of the label's unknown
    share times the share of images with a target: estimates for other images add no evidence of
    known labels.

    With images without any target, the first classifier is :func:`neighbour_start`.

    Args:
        start: Fits classifiers.
        completion: Provides the targets and the evidence of the graph.
        features: ``(N, D)`` of the training images, in the units of the classifiers.
        sharing: The mixing matrix of classifiers, the chosen similarity, or ``None``. Both
            classifiers have this prior.
        groups: The group of each image, N values, as in ``start``.
    """
    labelled = (completion.targets != UNKNOWN).any(1)
    share = float(labelled.float().mean())
    if 0 < share < 1:
        first = neighbour_start(features, completion.targets, sharing, groups)
    else:
        first = start(completion.targets, sharing)
    unknown = ((~completion.known).float().mean(0) * share).sqrt()
    if not unknown.any():
        return first
    logits = features @ first.weight.T + first.bias
    second = start(completion.estimates(logits), sharing)
    weight = torch.lerp(first.weight, second.weight, unknown[:, None])
    bias = torch.lerp(first.bias, second.bias, unknown)
    return LinearStart(weight, bias, second.penalty, first.error, first.frequent_error)


def neighbour_start(
    features: Tensor,
    targets: Tensor,
    sharing: Sharing = None,
    groups: Sequence[Hashable] | None = None,
) -> LinearStart:
    """Fits ridge regression to labelled images and to the mean of the images similar to each.

    Every labelled image counts twice, with the same targets: as it is, and moved towards the mean
    of its :data:`NEIGHBOURS` most similar images, labelled or not. The distance moved is the share
    of images without a target. Similar images often have the same labels, and their mean varies
    less. (Weston et al., *Semi-supervised protein classification using cluster kernels*, NeurIPS
    2003, average features over neighbours in the same way.) Leave-one-out leaves out both.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown; at least one entry is known.
        sharing: See :func:`completed_start`.
        groups: The group of each image, N values.
    """
    labelled = (targets != UNKNOWN).any(1)
    rows = labelled.nonzero()[:, 0]
    own = features[rows]
    moved = torch.lerp(own, neighbour_means(features, rows), 1 - len(rows) / len(features))
    each: list[Hashable] = rows.tolist() if groups is None else [groups[row] for row in rows]
    known = targets[rows]
    return shared_start(torch.cat([own, moved]), torch.cat([known, known]), sharing, [*each, *each])


def neighbour_means(features: Tensor, rows: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Returns the mean features of the ``k`` images that are most similar to some images.

    Similarity is the cosine of features less the mean of all images. No image is its own neighbour.

    Args:
        features: ``(N, D)`` of at least two images.
        rows: ``(n,)``, positions of the images.
        k: Number of neighbours; all other images if they are fewer.

    Returns:
        ``(n, D)``.
    """
    directions = F.normalize(features - features.mean(0), dim=1)
    found = []
    for part in rows.split(ROWS):
        similarity = directions[part] @ directions.T
        similarity[torch.arange(len(part)), part] = -torch.inf
        near = similarity.topk(min(k, len(features) - 1), dim=1).indices
        found.append(features[near].mean(1))
    return torch.cat(found)
