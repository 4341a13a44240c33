"""The linear head: one free classifier per label, no graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from gatlabel.nn.heads.base import Head, given_labels
from gatlabel.nn.heads.protocols import Foldable, LinearInit

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class LinearHead(Head, Foldable, LinearInit):
    """``logits = W f + b``: the baseline of every other head.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph that provides the labels instead; its edges are not used.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "linear"

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
    ) -> None:
        super().__init__(in_features, given_labels("LinearHead", labels, graph))
        self.linear = nn.Linear(in_features, self.out_features)

    def linear_weight(self) -> Tensor:
        """Returns ``W (L, D)``."""
        return self.linear.weight

    def label_bias(self) -> nn.Parameter:
        """The biases ``b (L,)``."""
        return self.linear.bias

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Returns weight ``(L, D)`` and bias ``(L,)``."""
        return self.linear.weight, self.linear.bias
