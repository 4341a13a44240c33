"""The next questions and images: much to learn from each, and unlike each other."""

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

#: Candidates of which the chosen ones are as unlike as possible, in multiples of these.
CANDIDATES = 3
#: Share of the log-odds of a label's frequency that is taken off its logits
#: (docs/studies/questions.md).
BALANCE = 0.5


@dataclass(frozen=True)
class Question:
    """Is this label present in this image?

    Attributes:
        row: Position of the image.
        label: Position of the label.
        probability: What the model believes, the answers about other labels included.
        information: What the answer is expected to teach, in nats.
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

    Of three times as many questions of most expected information, as many are taken as asked for:
    one after the other that with the largest product of information and distance to the nearest
    image that is taken (k-centre, Sener & Savarese, ICLR 2018, arXiv:1708.00489, weighted).

    Args:
        logits: ``(N, L)`` of the pool's images.
        answers: ``(N, L)``: 1, 0, or -1 where there is none yet.
        model: The dependence of labels.
        count: Number of questions.
        per_image: Questions about one image at most.
        features: ``(N, D)``, for distances; without them the information alone counts.
        skipped: bool ``(N, L)``: questions without an answer that are not asked again.
        rates: ``(L,)`` in (0, 1), how frequent each label is. With them uncertainty is measured
            half-way to a label of frequency ½: rare labels, whose presences teach most, are asked
            too.

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
    """Takes the greedy maximum of worth times distance to what is taken."""
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
    """Ranks images by what knowing all their open labels would teach.

    The sum of the entropies, less, of each label, half of what its best neighbour tells of it: an
    answer that others imply teaches little.

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
