"""Ridge regression on a few images and, with less weight, on all training images as absent."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.baselines.moments import Moments

#: λ γ in units of the features' mean square: the more the training images count, the less penalty.
PATH = 90.0
#: Number of support images at which γ and λ have halved.
FADE = 100.0


def joint_ridge(
    moments: Moments, support: Tensor, targets: Tensor, prior: Tensor, population: float
) -> Tensor:
    r"""Classifiers from a few images, with all training images as weak negatives.

    Minimises over w and b, for each label::

        (1/n) Σ_support (t − wᵀx − b)² + γ E_training (wᵀx + b)² + λ |w − m|²

    A small γ is ridge regression on the support, which tells its images apart. A large γ tends to
    linear discriminant analysis against all training images. λ is ``PATH / γ`` times the features'
    mean square, and both fade as ``FADE / (n + FADE)``, so that many images give the free
    classifier. (Positive and unlabelled learning with the unlabelled images as noisy negatives is
    old; see Elkan & Noto, KDD 2008.)

    Args:
        moments: Mean and covariance of the features of all training images.
        support: ``(n, D)``, features of the support images, n > 0.
        targets: ``(n, M)``, -1 for unknown; unknown entries have no influence on b and on the
            covariance of features and targets.
        prior: m, ``(M, D)``.
        population: γ, above 0.

    Returns:
        float64 ``(M, D)``.
    """
    count = len(support)
    fade = FADE / (count + FADE)
    gamma, penalty = population * fade, PATH / population * moments.mean_square * fade
    x, there = support.double(), (targets >= 0).double()
    known = there.sum(0).clamp(min=1)
    share = targets.double().clamp(min=0).sum(0) / known  # (M,)
    offset = x.mean(0) - moments.mean
    centred = x - x.mean(0)
    between = gamma / (1 + gamma)
    missed = (targets.double() - share) * there / known
    cross = (centred.T @ missed).T + between * share[:, None] * offset  # (M, D)
    low = torch.cat([centred / count**0.5, between**0.5 * offset[None]])  # (n + 1, D)
    right = cross + penalty * prior.double()
    # the matrix to invert is γ S + λ I + lowᵀ low
    if len(low) > low.shape[1]:
        spread = gamma * (moments.basis.T * moments.variance) @ moments.basis + low.T @ low
        return torch.linalg.solve(spread + penalty * torch.eye(len(spread)).double(), right.T).T
    inner, first = (moments.solve(part, penalty / gamma) / gamma for part in (low, right))
    small = torch.eye(len(low)).double() + low @ inner.T  # the identity of Woodbury
    return first - torch.linalg.solve(small, low @ first.T).T @ inner
