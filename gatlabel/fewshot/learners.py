"""Learners of novel labels from a few images, on the features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.baselines.moments import Moments
from gatlabel.baselines.regression import Regression
from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError
from gatlabel.fewshot.joint_ridge import joint_ridge

#: From features ``(N, D)`` to scores ``(N, M)`` of the novel labels.
Scorer = Callable[[Tensor], Tensor]
EPOCHS = 50
BATCH = 16
LEARNING_RATE = 1e-2


@dataclass(frozen=True, eq=False)
class Knowledge:
    """The inputs of a learner: statistics of base training, and the support images.

    Attributes:
        moments: Mean and covariance of the features of all training images.
        support: ``(n, D)``, features of the support images; n = 0 for zero shots.
        targets: ``(n, M)`` of the novel labels, -1 for unknown.
        suggested: ``(M, D)``, prior classifiers from similar labels; zero where none is similar.
        penalty: λ of the learner ``lda``, in squared units of the features.
        weight: α of the learner ``similar``, the weight of similar labels beside images.
        seed: Of the order of images in fine-tuning.
        population: γ of the learner ``similar``, the weight of all training images as absent; 0
            is ridge regression on the support images alone.
    """

    moments: Moments
    support: Tensor
    targets: Tensor
    suggested: Tensor
    penalty: float
    weight: float
    seed: int = 0
    population: float = 0.0


def unit_scores(weight: Tensor, moments: Moments) -> Tensor:
    """Scales classifiers ``(M, D)`` so that their scores of all training images have variance 1.

    Rows whose scores have no variance become zero.
    """
    spread = score_variance(weight, moments).sqrt()[:, None]
    return torch.where(spread > 0, weight.double() / spread.clamp(min=1e-30), 0.0)


def score_variance(weight: Tensor, moments: Moments) -> Tensor:
    """Returns ``wᵀ S w`` of classifiers ``(M, D)``, float64 ``(M,)``."""
    return ((weight.double() @ moments.basis.T).square() * moments.variance).sum(1)


def similar(known: Knowledge) -> Scorer:
    r"""Ridge regression on the support images, shrunk towards a classifier of similar labels.

    The suggested classifier m is scaled so that its scores of all training images have variance 1,
    and p is the label's share of the few images. Its part is ``m' = α √(p (1 − p)) m``. Without
    images the classifier is m. With γ > 0 it is :func:`~gatlabel.fewshot.joint_ridge.joint_ridge`
    with the prior m', and with γ = 0::

        w = m' + (XᵀX / n + λ I)⁻¹ Xᵀ (t − X m') / n

    where X and t are the centred features and targets of the support images, and λ is the penalty
    that leave-one-out chooses for plain ridge regression on them.
    """
    suggested = unit_scores(known.suggested, known.moments)
    mean = known.moments.mean
    if not len(known.support):
        return lambda features: (features.double() - mean) @ suggested.T
    there = (known.targets >= 0).double()
    count = there.sum(0).clamp(min=1)
    share = known.targets.double().clamp(min=0).sum(0) / count
    prior = known.weight * (share * (1 - share)).sqrt()[:, None] * suggested
    if known.population > 0:
        joint = joint_ridge(known.moments, known.support, known.targets, prior, known.population)
        return lambda features: (features.double() - mean) @ joint.T
    start = ridge_start(known.support, known.targets)
    if known.weight == 0:
        return lambda features: features @ start.weight.T + start.bias
    middle = known.support.double().mean(0)
    missed = known.targets.double() - share - (known.support.double() - middle) @ prior.T
    wanted = missed * there * len(there) / count
    penalty = start.penalty if start.penalty > 0 else known.penalty
    weight = prior + Regression(known.support.double(), wanted).weight(penalty)
    return lambda features: (features.double() - middle) @ weight.T


def shrunk_discriminant(moments: Moments, shown: Tensor, prior: Tensor, penalty: float) -> Tensor:
    r"""Classifiers from the mean of a few positives, without negatives.

    ``w = (S + λ I)⁻¹ (μ₊ − μ + λ m)``: Fisher's discriminant (Hastie, Tibshirani & Friedman, *The
    Elements of Statistical Learning*, 2nd ed. 2009, section 4.3) with the mean and covariance of
    all training images, and a prior mean m of the classifier.

    Args:
        moments: μ and S.
        shown: ``μ₊ (M, D)``.
        prior: m ``(M, D)``.
        penalty: λ.

    Returns:
        float64 ``(M, D)``.
    """
    return moments.solve(shown.double() - moments.mean + penalty * prior.double(), penalty)


def positive_means(features: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean features ``(M, D)`` of each label's positives; zero where there are none."""
    present = targets.double().clamp(min=0)
    return present.T @ features.double() / present.sum(0).clamp(min=1e-12)[:, None]


def lda(known: Knowledge) -> Scorer:
    """Linear discriminant analysis with the mean and covariance of all training images."""
    shown = positive_means(known.support, known.targets)
    weight = shrunk_discriminant(known.moments, shown, torch.zeros_like(shown), known.penalty)
    return lambda features: (features.double() - known.moments.mean) @ weight.T


def ridge(known: Knowledge) -> Scorer:
    """Ridge regression on the support images only; leave-one-out chooses the penalty."""
    start = ridge_start(known.support, known.targets)
    return lambda features: features @ start.weight.T + start.bias


def imprinting(known: Knowledge) -> Scorer:
    """The normalised mean of each label's positives as its classifier; scores are cosines.

    Qi, Brown & Lowe, *Low-Shot Learning with Imprinted Weights*, CVPR 2018, arXiv:1712.07136,
    eq. 4-5; features are centred on the mean of all training images.
    """
    mean = known.moments.mean
    unit = F.normalize(known.support.double() - mean, dim=1)
    weight = F.normalize(positive_means(unit, known.targets), dim=1)
    return lambda features: F.normalize(features.double() - mean, dim=1) @ weight.T


def finetune(known: Knowledge) -> Scorer:
    """A new linear head trained on the support images: 50 epochs of Adam, binary cross-entropy.

    This is the protocol of LaSO's comparisons. One number scales all features.
    """
    mean, scale = known.moments.mean, known.moments.mean_square**0.5
    inputs = ((known.support.double() - mean) / scale).float()
    targets = known.targets.float()
    weight = torch.zeros(targets.shape[1], inputs.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(known.seed)
    with torch.enable_grad():
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(inputs), generator=generator).split(BATCH):
                wanted = targets[rows]
                loss = F.binary_cross_entropy_with_logits(
                    inputs[rows] @ weight.T + bias,
                    wanted.clamp(min=0),
                    weight=(wanted >= 0).float(),
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    found, offset = weight.detach(), bias.detach()
    return lambda features: ((features.double() - mean) / scale).float() @ found.T + offset


#: The learners by name.
LEARNERS: dict[str, Callable[[Knowledge], Scorer]] = {
    "finetune": finetune,
    "imprinting": imprinting,
    "ridge": ridge,
    "lda": lda,
    "similar": similar,
}
#: The learners that need no image.
ZERO_SHOT = ("similar",)


def scorer_of(name: str, known: Knowledge) -> Scorer:
    """Fits a learner.

    Raises:
        InputError: If it needs an image and there is none.
    """
    if not len(known.support) and name not in ZERO_SHOT:
        raise InputError(f"the learner {name} needs images; for zero shots, use similar")
    return LEARNERS[name](known)
