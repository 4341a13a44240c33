"""The base class of heads that were fitted by a classical method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import Head, given_labels

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

#: Probabilities of 0 and 1 have infinite log-odds and are clamped to this and one minus this.
LEAST_PROBABILITY = 1e-12


class FittedHead(Head):
    """A head that stores the result of a classical method in buffers.

    It has no trainable parameters. It computes in float64 for features of any type, so that it
    agrees with the library that fitted it.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
    ) -> None:
        super().__init__(in_features, given_labels(type(self).__name__, labels, graph))

    def register_arrays(self, **shapes: tuple[int, ...]) -> None:
        """Registers a float64 buffer of zeros for each name, to be filled by the method."""
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    @abstractmethod
    def log_odds(self, features: Tensor) -> Tensor:
        """Returns the log-odds ``(B, L)`` of features ``(B, D)``, both float64."""

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(..., D)`` -> logits ``(..., L)``, in the precision of the features.

        Raises:
            InputError: If the features are not D wide.
        """
        if features.shape[-1] != self.in_features:
            raise InputError(
                f"the head {self.kind!r} takes {self.in_features} features, got "
                f"{features.shape[-1]}"
            )
        found = self.log_odds(features.reshape(-1, self.in_features).double())
        return found.reshape(*features.shape[:-1], self.out_features).to(features.dtype)


def log_odds_of(probabilities: Tensor) -> Tensor:
    """Returns log-odds that are finite even for probabilities 0 and 1."""
    clamped = probabilities.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return clamped.log() - (-clamped).log1p()
