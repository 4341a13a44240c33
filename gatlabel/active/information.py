"""Expected information of an answer about one label, including that about other labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.active.variance import LogitVariance
from gatlabel.errors import InputError
from gatlabel.graph.counts import Counts
from gatlabel.labels import UNKNOWN

#: Maximum number of neighbours of a label.
NEIGHBOURS = 8
#: Log odds ratios of fewer standard errors are dropped.
CRITICAL = 2.0
#: Share of a log odds ratio that the image features do not explain already.
UNEXPLAINED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class PairwiseModel:
    """Dependence of the labels of one image: an Ising model around the image's logits.

    Label j with value ``y_j`` and probability ``q_j`` shifts the log-odds of i by
    ``w_ij (y_j − q_j)``.

    Attributes:
        edges: int64 ``(2, E)``, sources j above targets i; each pair both ways.
        weights: float32 ``(E,)``.
    """

    edges: Tensor
    weights: Tensor

    @classmethod
    def none(cls) -> Self:
        """The model without edges."""
        return cls(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0))

    @classmethod
    def of_counts(cls, counts: Counts, neighbours: int = NEIGHBOURS) -> Self:
        """Estimates the weights from label counts, as log odds ratios of pairs.

        ``w = ½ ln (n11 n00 / (n10 n01))`` with 0.5 added to each count. A pair is kept if its log
        odds ratio is at least two standard errors ``(Σ 1 / n)^½`` (Woolf, *Annals of Human
        Genetics* 19, 1955), and among the 8 largest by that measure of either label.

        Args:
            counts: The counts, with the number of images.
            neighbours: Maximum number of neighbours of a label.

        Raises:
            InputError: If the counts have no number of images.
        """
        counts.require_images("the dependence of labels")
        both = counts.pair_counts.astype(np.float64)
        present = counts.present_where_known.astype(np.float64)
        one, other = present - both, present.T - both
        none = counts.known_pairs - both - one - other
        cells = np.stack([both, one, other, np.maximum(none, 0)]) + 0.5
        ratio = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
        score = np.abs(ratio) / np.sqrt((1 / cells).sum(0))
        np.fill_diagonal(score, 0.0)
        L = len(score)
        kept = np.zeros((L, L), dtype=bool)
        best = np.argsort(-score, 1, kind="stable")[:, : min(neighbours, L - 1)]
        np.put_along_axis(kept, best, True, 1)
        kept = (kept | kept.T) & (score >= CRITICAL)
        target, source = np.nonzero(kept)
        weights = UNEXPLAINED_SHARE * ratio[target, source]
        edges = torch.from_numpy(np.stack([source, target]))
        return cls(edges, torch.from_numpy(weights.astype(np.float32)))

    def permuted(self, order: Tensor) -> Self:
        """Returns the model between other labels: label k takes the place of ``order[k]``."""
        return type(self)(order[self.edges], self.weights)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of labels with these log-odds, in nats.

    ``H = softplus(|z|) − |z| σ(|z|)``, which neither cancels nor overflows.
    """
    size = logits.abs()
    small = torch.exp(-size)
    return torch.log1p(small) + size * small / (1 + small)


def posterior_logits(logits: Tensor, answers: Tensor, model: PairwiseModel) -> Tensor:
    """Log-odds of the open labels, given the answers about other labels of the same image.

    Args:
        logits: ``(N, L)``, of the image alone.
        answers: ``(N, L)``, 1, 0, or -1 where there is none.
        model: The dependence of labels.

    Returns:
        ``(N, L)``.
    """
    known = answers != UNKNOWN
    rows = known.any(1)
    if not bool(rows.any()) or not model.edges.shape[1]:
        return logits
    surprise = torch.where(known[rows], answers[rows] - torch.sigmoid(logits[rows]), 0.0)
    source, target = model.edges
    moved = logits.clone()
    part = logits[rows].index_add(1, target, surprise[:, source] * model.weights)
    moved[rows] = part
    return moved


def expected_information(
    logits: Tensor, model: PairwiseModel, variance: LogitVariance | None = None
) -> Tensor:
    r"""Expected information about all labels of an image from the answer about one of them.

    .. math:: g_{nj} = H(q_{nj}) + \sum_{j \to i} \Bigl[H(q_{ni}) - \sum_{y} P(y_{nj} = y)\,
              H(q_{ni} \mid y_{nj} = y)\Bigr]_+

    with the conditional log-odds :math:`z_{ni} + w_{ij} (y - q_{nj})`. With the variance
    :math:`h_n u_i` of the logits, the information about label i is multiplied by it: what is
    learned of a label that the classifier is sure of teaches little.

    Args:
        logits: ``(N, L)``.
        model: The dependence of labels.
        variance: How unsure the classifiers are; without it, all alike.

    Returns:
        ``(N, L)``; in nats without ``variance``, and then at least the entropies.
    """
    z = logits.float().T.contiguous()  # (L, N): an edge then reads two rows
    own = entropy(z)
    q = torch.sigmoid(z)
    u = torch.ones(len(z)) if variance is None else variance.labels
    gain = own * u[:, None]
    for (j, i), w in zip(model.edges.T.tolist(), model.weights.tolist(), strict=True):
        present, absent = entropy(z[i] + w * (1 - q[j])), entropy(z[i] - w * q[j])
        gain[j] += u[i] * (own[i] - torch.lerp(absent, present, q[j])).clamp_(min=0)
    return gain.T if variance is None else gain.T * variance.images[:, None]


def best_questions(
    logits: Tensor,
    model: PairwiseModel,
    open_: Tensor,
    count: int,
    per_image: int,
    variance: LogitVariance | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds the questions of most expected information, without computing it for all.

    What j tells of i is at most ``H_j``, and at most ``w² q_j (1 − q_j) / 8``, as entropy bends by
    ¼ at most as a function of the log-odds. Both, times the variance ``u_i``, bound the
    information, in a pass over the questions; it is computed only where the bound reaches what is
    found.

    Args:
        logits: ``(N, L)``.
        model: The dependence of labels.
        open_: bool ``(N, L)``: the questions to choose from.
        count: Number of questions.
        per_image: Questions about one image at most.
        variance: See :func:`expected_information`.

    Returns:
        Rows and labels ``(2, K)``, the best first, and their information ``(K,)``; K is less than
        ``count`` only if there are not enough questions.

    Raises:
        InputError: If a number is below 1, or shapes differ.
    """
    if count < 1 or per_image < 1:
        raise InputError(f"count={count}, per_image={per_image}: must be at least 1")
    if logits.shape != open_.shape:
        raise InputError(
            f"logits {tuple(logits.shape)} and open questions {tuple(open_.shape)}: one shape"
        )
    L = logits.shape[1]
    flat = logits.float().reshape(-1)
    own = entropy(flat)
    source, target = model.edges
    u = flat.new_ones(L) if variance is None else variance.labels
    degree = flat.new_zeros(L).index_add(0, source, u[target])
    reach = flat.new_zeros(L).index_add(0, source, u[target] * model.weights.square() / 8)
    chance = torch.sigmoid(flat).view(-1, L)
    told = torch.minimum(own.view(-1, L) * degree, reach * chance * (1 - chance))
    bound = torch.addcmul(told, own.view(-1, L), u)
    if variance is not None:
        bound *= variance.images[:, None]
    bound = bound.masked_fill_(~open_, -1.0).reshape(-1)
    total = int(open_.sum())
    size, found = min(total, 4 * count), torch.zeros(0, dtype=torch.int64)
    while True:
        found = bound.topk(size).indices
        gain = _information_of(found, flat.view(-1, L), own.view(-1, L), model, variance)
        order = gain.argsort(descending=True, stable=True)
        chosen = _capped(found[order], L, count, per_image)
        enough = len(chosen) == count
        least = float(gain[order][chosen[-1]]) if enough else -1.0
        if size == total or (enough and float(bound[found[-1]]) < least):
            break
        size = min(total, 4 * size)
    picked, worth = found[order][chosen], gain[order][chosen]
    return np.stack([(picked // L).numpy(), (picked % L).numpy()]), worth.numpy()


def _information_of(
    questions: Tensor,
    logits: Tensor,
    own: Tensor,
    model: PairwiseModel,
    variance: LogitVariance | None,
) -> Tensor:
    """Expected information of some questions, given as positions in ``(N, L)`` row by row."""
    L = logits.shape[1]
    row, label = questions // L, questions % L
    u = own.new_ones(L) if variance is None else variance.labels
    gain = own.reshape(-1)[questions] * u[label]
    order = model.edges[0].argsort(stable=True)
    degree = torch.bincount(model.edges[0], minlength=L)
    first = torch.cat([degree.new_zeros(1), degree.cumsum(0)[:-1]])
    times = degree[label]
    which = torch.arange(len(questions)).repeat_interleave(times)
    place = torch.arange(len(which)) - (times.cumsum(0) - times).repeat_interleave(times)
    edge = order[first[label][which] + place]
    target, weight = model.edges[1][edge], model.weights[edge]
    rows = row[which]
    z, before = logits[rows, target], own[rows, target]
    q = torch.sigmoid(logits.reshape(-1)[questions])[which]
    after = torch.lerp(entropy(z - weight * q), entropy(z + weight * (1 - q)), q)
    gain = gain.index_add(0, which, u[target] * (before - after).clamp(min=0))
    return gain if variance is None else gain * variance.images[row]


def _capped(questions: Tensor, labels: int, count: int, per_image: int) -> Tensor:
    """Positions of the first ``count`` questions with at most ``per_image`` of one image."""
    rows = (questions // labels).numpy()
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(rows) else order
    rank = np.arange(len(rows)) - np.repeat(start, np.diff(np.r_[start, len(rows)]))
    within = np.empty(len(rows), dtype=bool)
    within[order] = rank < per_image
    return torch.from_numpy(np.flatnonzero(within)[:count])
