"""Choice of the next questions and images: informative ones that differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.active.information import (
    PairwiseModel,
    best_questions,
    entropy,
    expected_information,
    posterior_logits,
)
from gatlabel.active.variance import LogitVariance
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN

#: Candidates of which questions are taken one after the other, in multiples of their number.
CANDIDATES = 3

#: Log-odds of labels that are answered: nothing is left to learn about them.
CERTAIN = 40.0


@dataclass(frozen=True)
class Question:
    """The question whether a label is present in an image.

    Attributes:
        row: Position of the image.
        label: Position of the label.
        probability: What the model believes, the answers about other labels included.
        information: What the answer is expected to teach: nats, times the variance of the logits
            where that is known.
    """

    row: int
    label: int
    probability: float
    information: float


@torch.no_grad()
def choose_questions(
    logits: Tensor,
    answers: Tensor,
    model: PairwiseModel,
    count: int,
    *,
    per_image: int | None = None,
    skipped: Tensor | None = None,
    variance: LogitVariance | None = None,
) -> list[Question]:
    """Chooses single questions.

    With the variance of the logits, of three times as many questions of most expected information
    as many are taken as asked for, one after the other: each answer that is to come lowers the
    variance of the same label for images alike, and so what further questions about it are worth
    (as in BatchBALD, Kirsch et al., NeurIPS 2019, arXiv:1906.08158). Without it, the information
    alone counts.

    Args:
        logits: ``(N, L)`` of the pool's images.
        answers: ``(N, L)``: 1, 0, or -1 where there is none yet.
        model: The dependence of labels.
        count: Number of questions.
        per_image: Questions about one image at most; none: any number.
        skipped: bool ``(N, L)``: questions without an answer that are not asked again.
        variance: How unsure the classifiers are. With it, questions teach most about classifiers
            that have learned from few positives, and on images unlike those of training.

    Raises:
        InputError: If a number is below 1, or shapes differ.
    """
    if answers.shape != logits.shape:
        raise InputError(f"answers {tuple(answers.shape)} for logits {tuple(logits.shape)}")
    moved = posterior_logits(logits, answers, model)
    certain = torch.where(answers != UNKNOWN, CERTAIN * (2 * answers - 1), moved)
    varied = variance is not None and variance.inputs is not None
    wanted = CANDIDATES * count if varied else count
    open_ = answers == UNKNOWN if skipped is None else (answers == UNKNOWN) & ~skipped
    most = logits.shape[1] if per_image is None else per_image
    places, worth = best_questions(certain, model, open_, wanted, most, variance)
    taken = np.arange(min(count, len(worth)))
    if variance is not None and varied and len(worth) > count:
        chances = torch.sigmoid(moved[places[0], places[1]])
        taken = _varied(places, worth, chances, variance, count)
    return [
        Question(int(row), int(label), float(torch.sigmoid(moved[row, label])), float(gain))
        for row, label, gain in zip(*places[:, taken], worth[taken], strict=True)
    ]


def _varied(
    places: NDArray[np.int64],
    worth: NDArray[np.float32],
    chances: Tensor,
    variance: LogitVariance,
    count: int,
) -> NDArray[np.int64]:
    """Takes questions one after the other, each by its worth at the variance that is left."""
    rows, labels = (torch.from_numpy(part) for part in places)
    same = {int(label): (labels == label).nonzero()[:, 0] for label in labels.unique()}
    covariance = {
        label: variance.between(rows[group]) * variance.labels[label]
        for label, group in same.items()
    }
    value = torch.from_numpy(worth).clone()
    slopes = (chances * (1 - chances)).tolist()
    taken: list[int] = []
    for _ in range(count):
        best = int(value.argmax())
        taken.append(best)
        group, left = same[int(labels[best])], covariance[int(labels[best])]
        before = left.diagonal().clone()
        column = left[:, int(torch.searchsorted(group, best))].clone()
        own = float(column[int(torch.searchsorted(group, best))])
        # one observation of slope p (1 - p), as in Newton's method for logistic regression
        left -= torch.outer(column, column) * (slopes[best] / (1 + slopes[best] * own))
        value[group] *= left.diagonal().clamp(min=0) / before.clamp(min=1e-12)
        value[best] = -torch.inf
    return np.array(taken, dtype=np.int64)


@torch.no_grad()
def rank_images(logits: Tensor, answers: Tensor, model: PairwiseModel) -> tuple[Tensor, Tensor]:
    """Ranks images by the expected information of knowing all their open labels.

    The score is the sum of the entropies, minus for each label half of its mutual information with
    its most informative neighbour: an answer that other answers imply adds little.

    Args:
        logits: ``(N, L)``.
        answers: ``(N, L)``, -1 where there is none yet.
        model: The dependence of labels.

    Returns:
        Rows, the best first, and their information in nats, both ``(N,)``.
    """
    moved = posterior_logits(logits, answers, model)
    open_ = answers == UNKNOWN
    own = entropy(moved.float())
    shared = torch.zeros_like(own)
    for j, i, w in zip(*model.edges.tolist(), model.weights.tolist(), strict=True):
        alone = PairwiseModel(torch.tensor([[0], [1]]), torch.tensor([w]))
        told = expected_information(moved[:, [j, i]], alone)[:, 0] - own[:, j]
        shared[:, i] = torch.maximum(shared[:, i], told * open_[:, j])
    worth = ((own - shared / 2) * open_).sum(1)
    order = worth.argsort(descending=True, stable=True)
    return order, worth[order]
