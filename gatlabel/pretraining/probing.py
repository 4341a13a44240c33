"""Evaluation of features: nearest neighbours and ridge regression, leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.baselines.regression import Regression
from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN
from gatlabel.metrics import harden, mean_average_precision

#: Features with a lower ``spread`` have collapsed; the usual bound in self-supervised learning.
COLLAPSED = 0.5


@dataclass(frozen=True)
class Probe:
    """The quality of the features of N labelled images.

    Attributes:
        neighbours: mAP of the labels of the nearest other images, 0 to 1.
        linear: mAP of ridge regression, each image predicted from the others (leave-one-out), 0
            to 1.
        spread: Mean standard deviation of the normalised features times √D: 1 if they are
            isotropic, 0 if all are equal.
    """

    neighbours: float
    linear: float
    spread: float

    @property
    def collapsed(self) -> bool:
        """Whether the features have (nearly) become one point or line."""
        return self.spread < COLLAPSED


def probe(features: Tensor, targets: Tensor, k: int = 20, temperature: float = 0.07) -> Probe:
    """Evaluates features on labelled images; no image is used for its own prediction.

    Args:
        features: ``(N, D)``.
        targets: ``(N, L)``; unknown entries are ignored.
        k: Number of neighbours.
        temperature: The weight of a neighbour is ``exp(cosine / temperature)``.

    Raises:
        InputError: If there are fewer than three images, or the numbers of rows differ.
    """
    if len(features) != len(targets) or len(features) < 3:
        raise InputError(
            f"a probe needs three or more labelled images: {len(features)} features, "
            f"{len(targets)} targets"
        )
    nearest, true = neighbour_scores(features, targets, k, temperature), harden(targets)
    return Probe(
        mean_average_precision(nearest, true).value,
        mean_average_precision(left_out_scores(features, targets), true).value,
        spread(features),
    )


def spread(features: Tensor) -> float:
    """Returns the spread of features ``(N, D)``; see :class:`Probe`."""
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    return float(unit.std(dim=0).mean() * features.shape[1] ** 0.5)


def neighbour_scores(
    features: Tensor, targets: Tensor, k: int = 20, temperature: float = 0.07
) -> Tensor:
    """Returns for each image the weighted mean of the known labels of its neighbours ``(N, L)``.

    An image is not its own neighbour. If the label is unknown for all neighbours, the score is the
    mean over all images.
    """
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    similarity = unit @ unit.T
    similarity.fill_diagonal_(-torch.inf)
    values, rows = similarity.topk(min(k, len(features) - 1), dim=1)
    weights = ((values - values[:, :1]) / temperature).exp()
    known = targets != UNKNOWN
    present = torch.where(known, targets, 0).double()
    total = (weights[:, :, None] * present[rows]).sum(dim=1)
    mass = (weights[:, :, None] * known[rows]).sum(dim=1)
    mean = present.sum(dim=0) / known.sum(dim=0).clamp(min=1)
    return torch.where(mass > 0, total / mass.clamp(min=1e-300), mean)


def left_out_scores(features: Tensor, targets: Tensor) -> Tensor:
    """Returns scores ``(N, L)`` of ridge regression, each image predicted from the others.

    The penalty is the one that leave-one-out chooses (:func:`~gatlabel.baselines.ridge_start`).
    """
    penalty = ridge_start(features, targets).penalty
    known = targets != UNKNOWN
    y = torch.where(known, targets, 0).double()
    rate = y.sum(dim=0) / known.sum(dim=0).clamp(min=1)
    share = known.double().mean(dim=0).clamp(min=1 / len(targets))
    deviation = torch.where(known, y - rate, 0) / share
    return Regression(features.double(), deviation).held_out(penalty)
