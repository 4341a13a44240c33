"""Linear classifiers corrected by a model of label dependence: HMM and pairwise model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import unknown_choice
from gatlabel.nn.heads.fitted.base import FittedHead
from gatlabel.nn.label_chain import chain_marginals
from gatlabel.nn.label_field import marginals, max_marginals

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

DECODINGS = ("marginals", "joint")


class DecodedHead(FittedHead):
    """Base of heads that infer all labels together.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        decode: ``marginals``, or ``joint``: logits are max-marginals, positive for the labels of
            the jointly most probable set.

    Raises:
        InputError: If there is no such decoding; and as :class:`FittedHead`.
    """

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        decode: Literal["marginals", "joint"] = "marginals",
    ) -> None:
        super().__init__(in_features, labels, graph=graph)
        if decode not in DECODINGS:
            raise unknown_choice("decode", str(decode), DECODINGS)
        self.decode = decode

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Head.config`."""
        return {**super().config, "decode": self.decode}


class HMMHead(DecodedHead):
    """A hidden Markov model over an order of the labels, on linear classifiers.

    A label is a step of the chain, present or absent. Its evidence is the ratio of the classifier's
    probability to the label's frequency. The logits are those of the posterior marginals, or
    max-marginals (Viterbi).

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        decode: ``marginals``, or ``joint``: logits are max-marginals, positive for the labels of
            the jointly most probable set.

    Attributes:
        weight: float64 ``(L, D)``: the linear classifiers.
        bias: float64 ``(L,)``.
        prior: float64 ``(L,)``: log-odds of the labels' frequencies.
        order: int64 ``(L,)``.
        initial: float64 ``(2,)``; see :func:`~gatlabel.nn.label_chain.chain_marginals`.
        transition: float64 ``(L - 1, 2, 2)``, likewise.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "hmm"
    weight: Tensor
    bias: Tensor
    prior: Tensor
    order: Tensor
    initial: Tensor
    transition: Tensor

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        decode: Literal["marginals", "joint"] = "marginals",
    ) -> None:
        super().__init__(in_features, labels, graph=graph, decode=decode)
        count = self.out_features
        self.register_arrays(weight=(count, in_features), bias=(count,), prior=(count,))
        self.register_arrays(initial=(2,), transition=(count - 1, 2, 2))
        self.register_buffer("order", torch.arange(count))

    def log_odds(self, features: Tensor) -> Tensor:
        """Computes the chain marginals; see :meth:`FittedHead.log_odds`."""
        evidence = F.linear(features, self.weight, self.bias) - self.prior
        found = chain_marginals(
            evidence[:, self.order], self.initial, self.transition, joint=self.decode == "joint"
        )
        return found[:, self.order.argsort()]


class PairwiseHead(DecodedHead):
    """A pairwise model of the labels, on linear classifiers: the logits of its marginals.

    They are exact for up to eight labels; for more labels, mean-field iterations approximate them
    (:mod:`gatlabel.nn.label_field`).

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        decode: ``marginals``, or ``joint``: logits are max-marginals, positive for the labels of
            the jointly most probable set.

    Attributes:
        weight: float64 ``(L, D)``: the linear classifiers.
        bias: float64 ``(L,)``.
        coupling: float64 ``(L, L)``, symmetric with a zero diagonal.
        rates: float64 ``(L,)``: the labels' frequencies.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "pairwise"
    weight: Tensor
    bias: Tensor
    coupling: Tensor
    rates: Tensor

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        decode: Literal["marginals", "joint"] = "marginals",
    ) -> None:
        super().__init__(in_features, labels, graph=graph, decode=decode)
        count = self.out_features
        self.register_arrays(weight=(count, in_features), bias=(count,))
        self.register_arrays(coupling=(count, count), rates=(count,))

    def log_odds(self, features: Tensor) -> Tensor:
        """Computes the marginals; see :meth:`FittedHead.log_odds`."""
        logits = F.linear(features, self.weight, self.bias)
        infer = max_marginals if self.decode == "joint" else marginals
        return infer(logits, self.coupling, self.rates)
