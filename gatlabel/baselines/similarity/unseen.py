"""Leave-one-label-out: a label's positives are taken away, and it is predicted from the others."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.baselines.similarity.evidence import Pair
from gatlabel.baselines.similarity.held_out import HeldOut

#: Positives at which a label's AUC counts half as much as that of a frequent one.
HALF_WEIGHT = 5.0


def pair_tables(held: HeldOut) -> tuple[Tensor, Tensor]:
    """How label j's classifier tells images with label i from those without, twice ``(S, S)``.

    The scores are of classifiers that did not see the image. Images that show j are left out:
    occurring together must not count as being alike.

    Returns:
        The difference of mean scores, in units of the spread of label j's targets, which is what
        is tested: a classifier that has learned little has small scores and counts little. And
        ``AUC − ½``, to be reported: the difference of mean ranks, which is that where all targets
        are known. Both 0 where no image remains.
    """
    ranks = (held.scores.argsort(0).argsort(0).double() + 0.5) / len(held.scores)
    positive, negative = (held.targets > 0.5).double(), held.known * (held.targets <= 0.5)
    others = 1 - positive
    tables = []
    for values in (held.scores, ranks):
        one, rest = (
            (rows.T @ (values * others)) / (rows.T @ others) for rows in (positive, negative)
        )
        tables.append((one - rest).fill_diagonal_(0).nan_to_num(0.0))
    return tables[0], tables[1]


def label_weights(held: HeldOut) -> Tensor:
    """What each label counts, ``(S,)``, sum 1: little where few positives make a noisy AUC."""
    weight = held.positives / (held.positives + HALF_WEIGHT)
    return weight / weight.sum()


def pair_of(prediction: Tensor, table: Tensor, weights: Tensor) -> Pair:
    """Prediction weights and their worth: the sum is a mean of the table over labels.

    Args:
        prediction: ``(S, S)``, row = target; its rows are scaled to a sum of sizes of 1.
        table: One of :func:`pair_tables`.
        weights: ``(S,)``, of the labels.
    """
    size = prediction.abs().sum(1, keepdim=True)
    unit = torch.where(size > 0, prediction / size.clamp(min=1e-300), 0.0)
    return unit, weights[:, None] * table


def label_aucs(held: HeldOut, prediction: Tensor) -> Tensor:
    """AUC of the predicted classifiers themselves, ``(S,)``, on all images where a label is known.

    NaN where it cannot be computed.
    """
    scores = held.scores @ prediction.T
    ranks = (scores.argsort(0).argsort(0).double() + 0.5) / len(scores)
    positive, negative = (held.targets > 0.5).double(), held.known * (held.targets <= 0.5)
    mean = [(rows * ranks).sum(0) / rows.sum(0) for rows in (positive, negative)]
    return mean[0] - mean[1] + 0.5


def slope(held: HeldOut, prediction: Tensor) -> float:
    """The factor of the predicted scores that fits the targets best, by least squares; ≥ 0."""
    scores = held.scores @ prediction.T * held.known
    count = held.known.sum(0)
    fitted = float((scores.square().sum(0) / count).sum())
    agreement = float(((scores * held.deviation).sum(0) / count).sum())
    return max(0.0, agreement / fitted) if fitted > 0 else 0.0
