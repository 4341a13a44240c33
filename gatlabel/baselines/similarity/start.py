"""Linear classifiers in closed form, with the chosen similarity between labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.baselines.similarity.choice import SimilarityChoice

#: How labels share classifiers: a mixing matrix C ``(L, L)``, a choice, or not at all.
Sharing = Tensor | SimilarityChoice | None


def shared_start(
    features: Tensor,
    targets: Tensor,
    sharing: Sharing = None,
    groups: Sequence[Hashable] | None = None,
) -> LinearStart:
    """Fits ridge regression in which labels share classifiers by a matrix, as chosen, or not.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        sharing: A choice gives :func:`similarity_start`, anything else
            :func:`~gatlabel.baselines.ridge.ridge_start`.
        groups: The group of each image; images of one group are left out together.
    """
    if isinstance(sharing, SimilarityChoice):
        return similarity_start(features, targets, sharing, groups)
    return ridge_start(features, targets, sharing, groups)


@torch.no_grad()
def similarity_start(
    features: Tensor,
    targets: Tensor,
    choice: SimilarityChoice,
    groups: Sequence[Hashable] | None = None,
) -> LinearStart:
    """Fits ridge regression in which similar labels share classifiers as chosen.

    Labels with known presences and absences are fitted jointly
    (:func:`~gatlabel.baselines.ridge.ridge_start` with the mixing matrix of the choice), or
    independently at strength 0. The classifier of any other label is combined from theirs, in units
    of their spread, with the mean spread of similar labels; its bias keeps the mean logit
    unchanged.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        choice: The choice, made on these images or on more; unknown targets may be completed.
        groups: The group of each image; images of one group are left out together.

    Returns:
        Classifiers; at strength 0 bit for bit those of ``ridge_start(features, targets)``.
    """
    start = ridge_start(features, targets, groups=groups)
    weight, bias, penalty = start.weight, start.bias, start.penalty
    seen = choice.seen
    sharing = choice.sharing()
    if sharing is None:
        return start
    if choice.strength:
        found = ridge_start(features, targets[:, seen], sharing[seen][:, seen], groups)
        weight, bias, penalty = weight.clone(), bias.clone(), found.penalty
        weight[seen], bias[seen] = found.weight, found.bias
    if choice.strength_unseen and not seen.all():
        y = targets.double()
        known = (y >= 0).double()
        rate = (y.clamp(min=0) * known).sum(0) / known.sum(0).clamp(min=1)
        spread = (rate * (1 - rate)).clamp(min=1e-6).sqrt()
        borrowed = choice.similarity @ spread
        predicted = choice.prediction @ (spread[:, None] * weight.double())
        there = ~seen & choice.prediction.any(1) & (borrowed > 0)
        new = choice.strength_unseen * predicted[there] / borrowed[there][:, None]
        weight, bias = weight.clone(), bias.clone()
        # completed targets have given these labels classifiers of their own
        bias[there] += ((weight[there].double() - new) @ features.double().mean(0)).float()
        weight[there] = new.float()
    return LinearStart(weight, bias, penalty)
