"""A hidden Markov model over an order of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.metrics.inputs import Array
from gatlabel.nn.label_chain import chain_marginals, viterbi
from gatlabel.targets import Targets

Order = Literal["frequency", "dependence", "given"]
ORDERS = ("frequency", "dependence", "given")


@dataclass(frozen=True)
class LabelHMM:
    """A Markov chain over labels, each present or absent; images are the observations.

    The evidence for a label is the ratio of its probability given the image to its frequency
    (the scaled likelihood of hybrid models, Bourlard and Morgan, *Connectionist speech
    recognition*, 1994, section 7.2). Everything is in log space.

    Example:
        >>> import torch
        >>> from gatlabel.decisions import LabelHMM
        >>> targets = torch.tensor([[1, 1], [1, 1], [1, 1], [0, 0], [0, 0], [0, -1]])
        >>> hmm = LabelHMM.from_targets(targets)
        >>> present, score = hmm.decode(torch.tensor([[0.9, 0.45]]))
        >>> present.tolist()
        [[True, True]]

    Attributes:
        order: int64 ``(L,)``: the labels in the order of the chain.
        rates: float64 ``(L,)``: the labels' frequencies.
        initial: float64 ``(2,)``: log-probabilities that the first label is absent, present.
        transition: float64 ``(L - 1, 2, 2)``: log-probability of the next state (last axis) given
            the current one.
    """

    order: Tensor
    rates: Tensor
    initial: Tensor
    transition: Tensor

    @classmethod
    def from_targets(
        cls, targets: Array, order: Order | Sequence[int] = "frequency", smoothing: float = 1.0
    ) -> LabelHMM:
        """Counts transitions in the images for which both labels are known.

        Args:
            targets: ``(N, L)`` in [0, 1], -1 for unknown; soft targets from 0.5 are present.
            order: ``frequency`` (descending), ``dependence`` (the most frequent label first, then
                always the label with the largest mutual information with the previous one),
                ``given`` (the order of the columns), or a list of positions.
            smoothing: Pseudo-images added to each row of counts, divided by the frequency of the
                next label; above 0.

        Raises:
            InputError: If the order is not a permutation of the labels, or the smoothing is not
                above 0.
        """
        if not smoothing > 0:
            raise InputError(f"smoothing={smoothing}: must be above 0")
        dense = Targets.of(targets).to_dense()
        known = dense >= 0
        present = (dense >= 0.5).double()
        count = known.sum(0).double()
        positives = (present * known).sum(0)
        overall = (positives.sum() + 0.5) / (count.sum() + 1)
        rates = ((positives + smoothing * overall) / (count + smoothing)).clamp(1e-6, 1 - 1e-6)
        states = torch.stack([(1 - present) * known, present * known])  # (2, N, L)
        places = _places(order, states, rates)
        before, after = states[:, :, places[:-1]], states[:, :, places[1:]]
        pairs = torch.einsum("anl,bnl->lab", before, after)  # (L - 1, 2, 2)
        expected = torch.stack([1 - rates, rates], 1)[places]
        smoothed = pairs + smoothing * expected[1:, None, :]
        transition = (smoothed / smoothed.sum(2, keepdim=True)).log()
        return cls(places, rates, expected[0].log(), transition)

    def marginals(self, probabilities: Tensor) -> Tensor:
        """Returns the probability of each label given the evidence of all: float64 ``(N, L)``.

        Args:
            probabilities: ``(N, L)`` in [0, 1].
        """
        evidence = self.evidence(probabilities)
        found = chain_marginals(evidence, self.initial, self.transition).sigmoid()
        return found[:, self.order.argsort()]

    def decode(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the most probable label set of each image (Viterbi).

        Args:
            probabilities: ``(N, L)`` in [0, 1].

        Returns:
            bool ``(N, L)`` in the order of the columns, and the joint log-probability of set and
            evidence ``(N,)``, up to a term per image.
        """
        states, score = viterbi(self.evidence(probabilities), self.initial, self.transition)
        return states[:, self.order.argsort()], score

    def evidence(self, probabilities: Tensor) -> Tensor:
        """Returns log-likelihood ratios ``(N, L)`` in the order of the chain.

        Raises:
            InputError: If the probabilities are not ``(N, L)`` in [0, 1].
        """
        given = checked_probabilities(probabilities, len(self.order))
        return (given.logit(eps=1e-12) - self.rates.logit())[:, self.order]


def checked_probabilities(probabilities: Tensor, labels: int) -> Tensor:
    """Returns probabilities as float64.

    Raises:
        InputError: If they are not ``(N, L)`` in [0, 1].
    """
    given = torch.as_tensor(probabilities).double()
    if given.ndim != 2 or given.shape[1] != labels:
        raise InputError(f"probabilities: expected (N, {labels}), got {tuple(given.shape)}")
    if not bool(((given >= 0) & (given <= 1)).all()):
        raise InputError("probabilities: expected values from 0 to 1")
    return given


def _places(order: Order | Sequence[int], states: Tensor, rates: Tensor) -> Tensor:
    count = len(rates)
    if not isinstance(order, str):
        places = torch.as_tensor(order, dtype=torch.int64)
        if sorted(places.tolist()) != list(range(count)):
            raise InputError(f"order: give each position from 0 to {count - 1} once")
        return places
    if order not in ORDERS:
        raise unknown_choice("order of labels", order, ORDERS)
    if order == "given":
        return torch.arange(count)
    by_frequency = rates.argsort(descending=True, stable=True)
    if order == "frequency":
        return by_frequency
    found, left = [int(by_frequency[0])], set(by_frequency[1:].tolist())
    while left:
        candidates = torch.tensor(sorted(left))
        shared = _mutual_information(states, found[-1])[candidates]
        found.append(int(candidates[shared.argmax()]))
        left.remove(found[-1])
    return torch.tensor(found)


def _mutual_information(states: Tensor, label: int) -> Tensor:
    """Mutual information of one label with each, over images where both are known: ``(L,)``."""
    pairs = torch.einsum("an,bnl->lab", states[:, :, label], states)
    joint = pairs / pairs.sum((1, 2), keepdim=True).clamp(min=1)
    independent = joint.sum(1, keepdim=True) * joint.sum(2, keepdim=True)
    ratio = (joint / independent.clamp(min=1e-300)).clamp(min=1e-300)
    return (joint * ratio.log()).sum((1, 2))
