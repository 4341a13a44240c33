"""Fusion of the features of several inputs to shared features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Concatenation(nn.Module):
    """Concatenates features; the identity for a single input.

    Args:
        widths: Feature width of each input.

    Attributes:
        out_features: Width of the result.

    Shapes:
        features, a tuple of ``(B, D_i)`` -> ``(B, sum of D_i)``.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.out_features = sum(widths)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features ``(B, D_i)`` of each input -> ``(B, sum of D_i)``."""
        return features[0] if len(features) == 1 else torch.cat(list(features), dim=1)


#: Fusions by name; called with the feature widths of the inputs.
FUSIONS: dict[str, Callable[[Sequence[int]], nn.Module]] = {"concatenation": Concatenation}
