"""Permutation tests of similarity sources: their effect compared with permuted label names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Strengths must be below 1 in heads.
MOST_STRENGTH = 0.95
_VALUES_AT_ONCE = 1 << 22

#: Weights ``(S, S)`` and their values ``(S, S)``; the statistic is the sum of their products.
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Evidence:
    """Result of one test of one source.

    Attributes:
        effect: In leave-one-image-out, the decrease of the squared error per unit of strength, in
            shares of a label's variance; in leave-one-label-out, the AUC.
        null_mean: Mean of the effect under permuted names.
        null_sd: Its standard deviation.
        z: Number of standard deviations above permuted names. In leave-one-image-out it is at most
            the paired z over images; in leave-one-label-out it is that of scores, not of ranks.
        p: Permutation p-value, corrected for the number of sources in the test.
        strength: The supported strength, after shrinkage; 0 if not significant.
        labels: Number of labels that were tested.
    """

    effect: float
    null_mean: float
    null_sd: float
    z: float
    p: float
    strength: float
    labels: int


@dataclass(frozen=True)
class SourceEvidence:
    """Results of the tests of one source.

    Attributes:
        name: The source.
        seen: Leave-one-image-out, for labels with known presences and absences.
        unseen: Leave-one-label-out, for all other labels; ``None`` for a source measured on the
            targets, which such a label does not have.
        rule: The predictor for the latter: the average of their ``neighbours``'
            classifiers, or a ``map`` from label vectors to classifiers.
    """

    name: str
    seen: Evidence
    unseen: Evidence | None = None
    rule: str = "neighbours"


@dataclass(frozen=True)
class Family:
    """Tests whose error level is controlled jointly.

    Attributes:
        own: Statistics ``(C,)``.
        mean: Their means under permuted names ``(C,)``.
        sd: Their standard deviations ``(C,)``.
        z: z values ``(C,)``.
        critical: Exceeded by the largest z with probability ``level`` if names are uninformative.
        p: Corrected p-values ``(C,)``: share of permutations whose largest z is at least as large.
    """

    own: Tensor
    mean: Tensor
    sd: Tensor
    z: Tensor
    critical: float
    p: Tensor

    def shrinkage(self, z: Tensor) -> Tensor:
        """Returns the shrinkage factor of each effect: ``(1 − (c / z)²)₊``, ``(C,)``.

        This is the positive-part James-Stein estimator of one mean, with the critical value c of
        the test as its constant: 0 below c, nearly 1 far above it.
        """
        kept = (1 - (self.critical / z.clamp(min=1e-9)).square()).clamp(min=0)
        return torch.where(z > 0, kept, 0.0)


def permutation_tests(
    candidates: Sequence[Sequence[Pair]], permutations: int, level: float, seed: int
) -> Family:
    """Tests all candidates against the same permutations of names.

    The largest z over candidates corrects for their number exactly, whatever their dependence
    (Westfall & Young, *Resampling-Based Multiple Testing*, 1993, section 2.5).

    Args:
        candidates: For each, pairs of weights and their values (one pair per fold).
        permutations: Number of random permutations.
        level: Family-wise error rate.
        seed: Seed of the permutations.
    """
    generator = torch.Generator().manual_seed(seed)
    size = len(candidates[0][0][0])
    orders = torch.stack([torch.randperm(size, generator=generator) for _ in range(permutations)])
    own = torch.stack([sum_of_products(pairs) for pairs in candidates])
    null = torch.stack([permuted_sums(pairs, orders) for pairs in candidates], dim=1)
    mean, sd = null.mean(0), null.std(0, unbiased=False)
    usable = sd > 1e-12 * own.abs().clamp(min=1e-12)
    scale = torch.where(usable, sd, 1.0)
    z = torch.where(usable, (own - mean) / scale, 0.0)
    largest = torch.where(usable, (null - mean) / scale, 0.0).amax(1)
    rank = min(permutations, int((permutations + 1) * (1 - level) + 0.999999))
    critical = float(largest.sort().values[rank - 1])
    exceeded = (largest[:, None] >= z - 1e-9).sum(0)
    return Family(own, mean, sd, z, critical, (1 + exceeded) / (permutations + 1))


def sum_of_products(pairs: Sequence[Pair]) -> Tensor:
    """Returns ``Σ_f Σ_ij A_ij M_ij``."""
    return torch.stack([(weights * values).sum() for weights, values in pairs]).sum()


def permuted_sums(pairs: Sequence[Pair], orders: Tensor) -> Tensor:
    """Returns the sums with permuted names, ``(P,)``: weight (i, j) moves to (π(i), π(j))."""
    total = torch.zeros(len(orders), dtype=torch.float64)
    for weights, values in pairs:
        target, source = weights.nonzero(as_tuple=True)
        value = weights[target, source]
        step = max(1, _VALUES_AT_ONCE // max(1, len(value)))
        for first in range(0, len(orders), step):
            part = orders[first : first + step]
            total[first : first + step] += values[part[:, target], part[:, source]] @ value
    return total
