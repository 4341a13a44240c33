"""Leave-one-out scores of independent classifiers, and their sensitivity to sharing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.regression import Regression
from gatlabel.baselines.ridge import PENALTIES


@dataclass(frozen=True)
class HeldOut:
    """Ridge regression of every learnable label, in units of each label's spread.

    Attributes:
        seen: bool ``(L,)``: labels with a known presence and a known absence, S of them.
        positives: float64 ``(S,)``, known presences; soft targets count fractionally.
        targets: ``(N, S)``, -1 for unknown.
        deviation: ``(N, S)``, ``(y − p) / √(p (1 − p))``, 0 where unknown.
        known: float64 ``(N, S)``.
        regression: The fit.
        penalty: Its λ, by leave-one-out.
        scores: ``ŷ (N, S)``, each from a fit without that image, or without its group.
        groups: The group of each image, if images are left out with their group.
    """

    seen: Tensor
    positives: Tensor
    targets: Tensor
    deviation: Tensor
    known: Tensor
    regression: Regression
    penalty: float
    scores: Tensor
    groups: Sequence[Hashable] | None = None

    def sensitivity(self) -> Tensor:
        r"""Returns the derivative of the scores by the labels' prior covariance: ``G (N, S)``.

        With the covariance ``K = I + ε B`` between labels, the leave-one-out scores are
        ``ŷ + ε G Bᵀ + O(ε²)``: the derivative of :class:`SharedRegression`'s formula at ``K = I``.
        With ``g = λ w / (w + λ)²`` for the eigenvalues w::

            G = (U g Uᵀ t − h' (t − ŷ)) / (1 − h),   h'_n = Σ_k u_nk² g_k

        Where groups are left out together, h and h' are blocks of ``U (w / (w + λ)) Uᵀ + 1/N`` and
        ``U g Uᵀ``, and the quotient is a linear system.
        """
        return self.regression.sensitivity(self.penalty, self.scores)


@torch.no_grad()
def fit(
    features: Tensor, targets: Tensor, groups: Sequence[Hashable] | None = None
) -> HeldOut | None:
    """Fits independent labels as in :func:`~gatlabel.baselines.ridge.ridge_start`.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        groups: The group of each image, N values; images of one group are left out together.

    Returns:
        The fit, or ``None`` if no label is learnable.
    """
    y = targets.double()
    seen = learnable(y)
    if not seen.any():
        return None
    y = y[:, seen]
    deviation, known, rate = deviations(y)
    regression = Regression(features.double(), deviation / known.mean(0), groups)
    judged = torch.ones_like(rate, dtype=torch.bool)
    penalty = min(
        (float(regression.mean_square) * share for share in PENALTIES),
        key=lambda value: regression.error(value, deviation, known, judged),
    )
    scores = regression.held_out(penalty)
    positives = y.clamp(min=0).sum(0)
    return HeldOut(seen, positives, y, deviation, known, regression, penalty, scores, groups)


def deviations(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns ``(y − p) / √(p (1 − p))`` (0 where unknown), the known mask (float64), and p."""
    known = (targets >= 0).double()
    rate = (targets.clamp(min=0) * known).sum(0) / known.sum(0)
    return (targets - rate) * known / (rate * (1 - rate)).clamp(min=1e-6).sqrt(), known, rate


def learnable(targets: Tensor) -> Tensor:
    """Returns bool ``(L,)``: labels whose known targets are not all equal."""
    known = targets >= 0
    high = torch.where(known, targets, -torch.inf).amax(0)
    low = torch.where(known, targets, torch.inf).amin(0)
    return high > low
