"""Leave-one-label-out test: a label's positives are removed and it is predicted from the others."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.baselines.similarity.evidence import Pair
from gatlabel.baselines.similarity.held_out import HeldOut

#: Number of positives at which the weight of a label's AUC is half that of a frequent label.
HALF_WEIGHT = 5.0


def pair_tables(held: HeldOut) -> tuple[Tensor, Tensor]:
    """Returns how well label j's classifier separates images by label i, two ``(S, S)`` tables.

    The scores are from classifiers that were not fitted to the image. Images with j are excluded:
    co-occurrence must not count as similarity.

    Returns:
        The difference of mean scores, in units of the spread of label j's targets, which is the
        test statistic: a classifier that has learned little has small scores and little weight.
        And ``AUC − ½``, for reports: the difference of mean ranks, equal to it if all targets are
        known. Both are 0 if no image remains.
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
    """Returns the weight of each label, ``(S,)``, sum 1: small if few positives make AUC noisy."""
    weight = held.positives / (held.positives + HALF_WEIGHT)
    return weight / weight.sum()


def pair_of(prediction: Tensor, table: Tensor, weights: Tensor) -> Pair:
    """Returns prediction weights and their values; the sum is a mean of the table over labels.

    Args:
        prediction: ``(S, S)``, row = target; rows are scaled to an absolute sum of 1.
        table: One of :func:`pair_tables`.
        weights: ``(S,)``, of the labels.
    """
    size = prediction.abs().sum(1, keepdim=True)
    unit = torch.where(size > 0, prediction / size.clamp(min=1e-300), 0.0)
    return unit, weights[:, None] * table


def label_aucs(held: HeldOut, prediction: Tensor) -> Tensor:
    """Returns the AUC of the predicted classifiers, ``(S,)``, on all images with a known label.

    NaN if undefined.
    """
    scores = held.scores @ prediction.T
    ranks = (scores.argsort(0).argsort(0).double() + 0.5) / len(scores)
    positive, negative = (held.targets > 0.5).double(), held.known * (held.targets <= 0.5)
    mean = [(rows * ranks).sum(0) / rows.sum(0) for rows in (positive, negative)]
    return mean[0] - mean[1] + 0.5


def slope(held: HeldOut, prediction: Tensor) -> float:
    """Returns the least-squares factor of the predicted scores for the targets; ≥ 0."""
    scores = held.scores @ prediction.T * held.known
    count = held.known.sum(0)
    fitted = float((scores.square().sum(0) / count).sum())
    agreement = float(((scores * held.deviation).sum(0) / count).sum())
    return max(0.0, agreement / fitted) if fitted > 0 else 0.0
