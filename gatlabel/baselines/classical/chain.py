"""Classifier chains of logistic regressions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from gatlabel.baselines.classical.known import KnownTargets
from gatlabel.baselines.classical.linear import (
    LINEAR_METHODS,
    Scaled,
    choose_strength,
    fit_labels,
    folds_of,
)
from gatlabel.nn.heads.fitted.chain import ChainHead

LOGISTIC = LINEAR_METHODS["logistic"]


def fit_chains(
    features: Tensor,
    targets: Tensor,
    *,
    chains: int = 10,
    c: float | None = None,
    folds: int = 3,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> ChainHead:
    """Fits an ensemble of classifier chains (Read et al., Machine Learning 85, 2011).

    Each classifier takes the features and the probabilities of the labels before it. In training,
    these probabilities are out-of-fold predictions (Senge et al., *Rectifying classifier chains*,
    2013), because the true labels of new images are not known.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown; predictions replace unknown targets.
        chains: Number of chains; each has the labels in a random order.
        c: Inverse strength of the regularisation; ``None`` takes that of independent classifiers.
        folds: Number of folds for the predictions; below 2, chains learn from the true labels.
        seed: Seed of the orders and folds.
        groups: The group of each image; those of one group are in one fold.
    """
    scaled, known = Scaled.of(features), KnownTargets.of(targets)
    if c is None:
        grid = LOGISTIC.grid
        c = choose_strength(LOGISTIC.fit, grid, scaled.features, known, seed, groups)[0]
    count = targets.shape[1]
    head = ChainHead(features.shape[1], count, chains=chains)
    generator = torch.Generator().manual_seed(seed)
    for chain in range(chains):
        order = torch.randperm(count, generator=generator)
        part = folds_of(len(features), folds, seed + chain, groups) if folds > 1 else None
        weight, link, bias = _chain(scaled.features, known, order, c, part)
        head.order[chain], head.link[chain] = order, link
        head.weight[chain], head.bias[chain] = scaled.unscaled(weight, bias)
    return head


def _chain(
    features: Tensor, known: KnownTargets, order: Tensor, c: float, folds: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Fits one chain: weight ``(L, R)``, link ``(L, L)`` and bias ``(L,)`` in its order."""
    count, width = len(order), features.shape[1]
    weight = torch.zeros(count, width, dtype=torch.float64)
    link = torch.zeros(count, count, dtype=torch.float64)
    bias = torch.zeros(count, dtype=torch.float64)
    design = features
    for place, label in enumerate(order.tolist()):
        target = KnownTargets(
            known.present[:, [label]],
            known.known[:, [label]],
            known.rates[[label]],
            known.usable[[label]],
        )
        found, offset = fit_labels(LOGISTIC.fit, design, target, c)
        weight[place], link[place, :place] = found[0, :width], found[0, width:]
        bias[place] = offset[0]
        before = (design @ found[0] + offset[0]).sigmoid()
        if folds is None:
            before = torch.where(target.known[:, 0], target.present[:, 0].double(), before)
        else:
            for fold in folds.unique():
                its, part = (
                    fit_labels(LOGISTIC.fit, design, target, c, folds != fold),
                    folds == fold,
                )
                before[part] = (design[part] @ its[0][0] + its[1][0]).sigmoid()
        design = torch.cat([design, before[:, None]], 1)
    return weight, link, bias
