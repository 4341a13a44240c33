"""A head that predicts a label sequence, each position independently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from gatlabel.nn.heads.base import Head, given_labels
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

MOST = 2**12  # positions


class PositionHead(Head):
    """A linear classifier for each position of a sequence, over the labels and an end token.

    The simplest head of a ``sequence`` task: positions do not depend on each other.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        length: S, the maximum length of a sequence.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, or a number is below
            1.

    Shapes:
        features ``(B, D)`` -> logits ``(B, S, L + 1)``; the last one is for the end token.
    """

    kind = "positions"

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        length: int = 8,
    ) -> None:
        super().__init__(in_features, given_labels("PositionHead", labels, graph))
        self.length = whole_number(length, "length", 1, MOST)
        self.linear = nn.Linear(in_features, self.length * (self.out_features + 1))

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, D)`` -> logits ``(B, S, L + 1)``."""
        logits: Tensor = self.linear(features)
        return logits.unflatten(-1, (self.length, self.out_features + 1))

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Head.config`."""
        return {**super().config, "length": self.length}
