"""Choice of the next questions and images: informative ones that differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gatlabel.active.information import (
    PairwiseModel,
    best_questions,
    entropy,
    expected_information,
    posterior_logits,
)
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN

#: Number of candidates per chosen question; a diverse subset of the candidates is chosen.
CANDIDATES = 3
#: Share of the log-odds of a label's frequency that is subtracted from its logits
#: (docs/studies/questions.md).
BALANCE = 0.5


@dataclass(frozen=True)
class Question:
    """The question whether a label is present in an image.

    Attributes:
        row: Position of the image.
        label: Position of the label.
        probability: Probability of the label, given the answers about other labels.
        information: Expected information of the answer, in nats.
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
    per_image: int = 1,
    features: Tensor | None = None,
    skipped: Tensor | None = None,
    rates: Tensor | None = None,
) -> list[Question]:
    """Chooses single questions.

    The candidates are the ``3 * count`` questions with the most expected information. Of these,
    ``count`` are taken greedily, each with the largest product of information and distance to the
    nearest image taken before (weighted k-centre, Sener & Savarese, ICLR 2018, arXiv:1708.00489).

    Args:
        logits: ``(N, L)`` of the pool's images.
        answers: ``(N, L)``: 1, 0, or -1 where there is none yet.
        model: The dependence of labels.
        count: Number of questions.
        per_image: Maximum number of questions about one image.
        features: ``(N, D)``, for distances; without them only the information counts.
        skipped: bool ``(N, L)``: skipped questions, which are not repeated.
        rates: ``(L,)`` in (0, 1), the frequency of each label. If given, half of its log-odds is
            subtracted from the logits, so that rare labels, whose positives are the most
            informative, are also chosen.

    Raises:
        InputError: If a number is below 1, or shapes differ.
    """
    if answers.shape != logits.shape:
        raise InputError(f"answers {tuple(answers.shape)} for logits {tuple(logits.shape)}")
    moved = posterior_logits(logits, answers, model)
    wanted = count if features is None else CANDIDATES * count
    open_ = answers == UNKNOWN if skipped is None else (answers == UNKNOWN) & ~skipped
    ranked = moved if rates is None else moved - BALANCE * torch.logit(rates.to(moved))
    places, worth = best_questions(ranked, model, open_, wanted, per_image)
    taken = np.arange(min(count, len(worth)))
    if features is not None and len(worth) > count:
        taken = _spread(features[places[0]], torch.from_numpy(worth), count)
    return [
        Question(int(row), int(label), float(torch.sigmoid(moved[row, label])), float(gain))
        for row, label, gain in zip(*places[:, taken], worth[taken], strict=True)
    ]


def _spread(features: Tensor, worth: Tensor, count: int) -> NDArray[np.int64]:
    """Greedily takes the maximum of worth times distance to the nearest one taken before."""
    unit = F.normalize(features.float() - features.float().mean(0), dim=1)
    apart = (1 - unit @ unit.T).clamp(min=0)
    nearest = torch.full((len(worth),), 2.0)
    taken: list[int] = []
    for _ in range(count):
        best = int((worth * nearest).argmax()) if taken else int(worth.argmax())
        taken.append(best)
        nearest = torch.minimum(nearest, apart[best])
        nearest[best] = -1.0
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
