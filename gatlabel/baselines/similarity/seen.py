"""Leave-one-image-out test: whether sharing reduces the error on left-out images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.regression import SharedRegression, group_numbers
from gatlabel.baselines.similarity.evidence import Pair
from gatlabel.baselines.similarity.held_out import HeldOut
from gatlabel.baselines.similarity.sources import SimilaritySource, normalised
from gatlabel.nn.heads.shared_classifier import weights_by_presences

#: Number of folds; a source measured on targets is measured on all but one and tested on that one.
FOLDS = 5


@dataclass(frozen=True)
class ImageTest:
    """First-order effect of sharing by one source.

    Attributes:
        pairs: For each fold, similarity ``(S, S)`` and the value of each weight.
        z: Paired z of the sum over images, or groups of images: its mean over its standard error.
        best: The strength of least error to first order, at least 0.
    """

    pairs: list[Pair]
    z: float
    best: float


class ImageTester:
    """Tests sources on left-out images.

    With similarity s, strength κ and ``D_i = 3 / (3 + n_i)``, labels have the prior covariance
    ``K = C Cᵀ``, ``C = I + κ D s``, so ``B = D s + (D s)ᵀ`` to first order, and the scores of
    left-out images change by ``κ G Bᵀ`` (:meth:`HeldOut.sensitivity`). With the residuals ``e``,
    the mean of a label's squared error over known images decreases by ``2 κ Σ_j B_ij R_ij``,
    ``R_ij = mean_n e_ni G_nj``. Summed over labels this is linear in s, so that permutations are
    cheap. It is the score test of κ = 0.

    Args:
        held: The fit of independent labels.
        features: ``(N, D)``.
        targets: ``(N, L)``.
        seed: Seed of the folds.
    """

    def __init__(self, held: HeldOut, features: Tensor, targets: Tensor, seed: int) -> None:
        self.held, self.features, self.targets = held, features, targets
        self.share = torch.as_tensor(weights_by_presences(1.0, held.positives))
        self.moved = held.sensitivity()
        self.residual = (held.deviation - held.scores * held.known) / held.known.sum(0)
        generator = torch.Generator().manual_seed(seed)
        self.unit = group_numbers(held.groups, len(features))
        folds = torch.randperm(int(self.unit.max()) + 1, generator=generator) % FOLDS
        self.fold = folds[self.unit]

    def test(self, source: SimilaritySource) -> ImageTest:
        """Tests a source; one measured on targets is measured on other images."""
        if source.measure is None:
            parts = [torch.ones(len(self.features), dtype=torch.bool)]
        else:
            parts = [self.fold == k for k in range(FOLDS)]
        pairs, of_images, curvature = [], torch.zeros(len(self.features)).double(), 0.0
        for part in parts:
            rest = ~part if source.measure is not None else part
            whole = source.at(self.features[rest], self.targets[rest])
            similarity = among(whole, self.held.seen)
            values = self.residual[part].T @ self.moved[part]
            pairs.append((similarity, self.share[:, None] * (values + values.T)))
            one_way = self.share[:, None] * similarity
            shift = self.moved[part] @ (one_way + one_way.T).T
            of_images[part] = (self.residual[part] * shift).sum(1)
            weighted = shift.square() * self.held.known[part]
            curvature += float((weighted.sum(0) / self.held.known.sum(0)).sum())
        total = float(of_images.sum())
        of_units = of_images.new_zeros(int(self.unit.max()) + 1).index_add(0, self.unit, of_images)
        error = float(of_units.std()) * len(of_units) ** 0.5
        return ImageTest(
            pairs,
            total / error if error > 0 else 0.0,
            max(0.0, total / curvature) if curvature > 0 else 0.0,
        )

    def lowers_error(self, similarity: Tensor, strength: float) -> bool:
        """Whether the exact leave-one-out error at this strength is smaller than at 0."""
        held = self.held
        sharing = torch.eye(len(similarity), dtype=torch.float64)
        sharing += strength * self.share[:, None] * similarity
        judged = torch.ones(len(similarity), dtype=torch.bool)
        own = held.regression.error(held.penalty, held.deviation, held.known, judged)
        rates = held.known.mean(0)
        shared = SharedRegression(
            self.features.double(), held.deviation / rates, sharing, held.groups
        )
        return shared.error(held.penalty, held.deviation, held.known, judged) < own


def among(similarity: Tensor, seen: Tensor) -> Tensor:
    """Returns the similarity between learnable labels, ``(S, S)``."""
    return normalised(similarity[seen][:, seen])
