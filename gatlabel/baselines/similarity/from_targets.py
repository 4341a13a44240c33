"""Similarity of labels measured on the training images: by co-occurrence or by classifiers."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.baselines.similarity.held_out import deviations, learnable

#: Penalty of the regression whose classifiers are compared, in units of the features' mean square.
#: Their relation hardly depends on it; leave-one-out chooses 3 to 30 on photographs.
RELATION_PENALTY = 10.0


def cooccurrence_profile(features: Tensor, targets: Tensor) -> Tensor:
    """Compares labels by their co-occurrence with all other labels, excluding the pair itself.

    ``c_ik = (P(k|i) − P(k)) / √P(k)`` for k ≠ i, from images where both are known; the cosine of
    ``c_i`` and ``c_j`` over all k except i and j.

    Args:
        features: Ignored.
        targets: ``(N, L)``, -1 for unknown.

    Returns:
        float64 ``(L, L)``; zero for labels without positives.
    """
    present = (targets.double() > 0.5).double()
    known = (targets >= 0).double()
    together, of_known = present.T @ present, present.T @ known
    rate = present.sum(0) / known.sum(0).clamp(min=1)
    conditional = together / of_known.clamp(min=1)
    profile = (conditional - rate) / rate.clamp(min=1e-12).sqrt()
    profile = torch.where((of_known > 0) & (rate > 0), profile, 0.0)
    profile.fill_diagonal_(0)  # so k = i and k = j contribute nothing to the products
    size = profile.square().sum(1, keepdim=True) - profile.square()
    scale = (size * size.T).clamp(min=0).sqrt()
    return torch.where(scale > 1e-12, profile @ profile.T / scale.clamp(min=1e-12), 0.0)


def learned_relation(features: Tensor, targets: Tensor) -> Tensor:
    """Compares labels by their classifiers, as in multi-task relationship learning.

    ``Ω = (W Wᵀ)^(1/2)`` (Zhang & Yeung, *A Convex Formulation for Learning Task Relationships in
    Multi-Task Learning*, UAI 2010, arXiv:1203.3536, eq. 13; its first step from independent
    classifiers), as correlations ``Ω_ij / √(Ω_ii Ω_jj)``.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)``, -1 for unknown.

    Returns:
        float64 ``(L, L)``; zero for labels whose known targets are all equal.
    """
    likeness = torch.zeros(targets.shape[1], targets.shape[1], dtype=torch.float64)
    seen = learnable(targets)
    if not seen.any():
        return likeness
    deviation, known = deviations(targets[:, seen].double())[:2]
    value, vector = torch.linalg.eigh(_gram(features.double(), deviation / known.mean(0)))
    root = (vector * value.clamp(min=0).sqrt()) @ vector.T
    size = root.diagonal().clamp(min=1e-30).sqrt()
    where = seen.nonzero()[:, 0]
    likeness[where[:, None], where] = root / size[:, None] / size
    return likeness.fill_diagonal_(0)


def _gram(x: Tensor, t: Tensor) -> Tensor:
    """Returns ``W Wᵀ`` of ridge regression, ``(S, S)``, from the smaller of the two systems."""
    x = x - x.mean(0)
    count, width = x.shape
    penalty = RELATION_PENALTY * float(x.square().mean())
    if count <= width:
        inner = x @ x.T / count
        dual = _solved(inner, penalty, t / count)
        return count * dual.T @ inner @ dual
    weight = _solved(x.T @ x / count, penalty, x.T @ t / count)
    return weight.T @ weight


def _solved(matrix: Tensor, penalty: float, right: Tensor) -> Tensor:
    shifted = matrix + max(penalty, 1e-30) * torch.eye(len(matrix), dtype=matrix.dtype)
    return torch.cholesky_solve(right, torch.linalg.cholesky(shifted))
