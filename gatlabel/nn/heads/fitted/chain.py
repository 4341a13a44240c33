"""Classifier chains: each label takes the probabilities of earlier labels as input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatlabel.nn.heads.fitted.base import FittedHead, log_odds_of

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class ChainHead(FittedHead):
    r"""An ensemble of classifier chains (Read et al., Machine Learning 85, 2011).

    In the order of a chain, with the probabilities p of earlier labels:

    .. math:: p_t = \sigma(w_t \cdot x + \sum_{s < t} v_{ts} p_s + b_t)

    The probability of a label is its mean over the chains.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        chains: Number of chains C.

    Attributes:
        order: int64 ``(C, L)``: the labels in the order of each chain.
        weight: float64 ``(C, L, D)``, in that order.
        link: float64 ``(C, L, L)``, in that order: v; only entries below the diagonal are used.
        bias: float64 ``(C, L)``, in that order.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "chain"
    order: Tensor
    weight: Tensor
    link: Tensor
    bias: Tensor

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        chains: int,
    ) -> None:
        super().__init__(in_features, labels, graph=graph)
        count = self.out_features
        self.register_buffer("order", torch.arange(count).repeat(chains, 1))
        self.register_arrays(weight=(chains, count, in_features), link=(chains, count, count))
        self.register_arrays(bias=(chains, count))

    @property
    def config(self) -> dict[str, Any]:
        """The options, as primitives."""
        return {**super().config, "chains": self.order.shape[0]}

    def log_odds(self, features: Tensor) -> Tensor:
        """Evaluates all chains in parallel; see :meth:`FittedHead.log_odds`."""
        chains, count = self.order.shape
        alone = features @ self.weight.flatten(0, 1).T + self.bias.flatten()
        alone = alone.view(-1, chains, count)
        found: list[Tensor] = []
        for place in range(count):
            logit = alone[..., place]
            if found:
                before = torch.stack(found, -1)  # (B, C, place)
                logit = logit + (before * self.link[:, place, :place]).sum(-1)
            found.append(logit.sigmoid())
        place_of = self.order.argsort(dim=1).expand(features.shape[0], -1, -1)
        return log_odds_of(torch.stack(found, -1).gather(2, place_of).mean(1))
