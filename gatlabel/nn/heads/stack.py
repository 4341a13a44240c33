"""A plain stack of graph-attention layers from node features to classifiers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.layers import GATLayer, GATv2Layer


class GATStack(nn.Module):
    """Graph-attention layers with ELU between them.

    Args:
        layer: :class:`GATLayer` or :class:`GATv2Layer`.
        in_features: Width F of the node features.
        hidden: Total width over the heads of every layer but the last.
        out_features: Width of the last layer's output; heads are joined where they divide it and
            averaged otherwise.
        heads: Number of attention heads H.
        layers: Number of layers.
        dropout: Probability of dropping an attention weight in training.

    Shapes:
        x ``(L, F)``, edge_index int64 ``(2, E)`` -> ``(L, out_features)``.
    """

    def __init__(
        self,
        layer: type[GATLayer] | type[GATv2Layer],
        in_features: int,
        hidden: int,
        out_features: int,
        heads: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        widths = [in_features] + [hidden] * (layers - 1)
        stack: list[GATLayer | GATv2Layer] = [
            layer(a, b // heads, heads, dropout=dropout) for a, b in pairwise(widths)
        ]
        joined = out_features % heads == 0
        last = out_features // heads if joined else out_features
        stack.append(layer(widths[-1], last, heads, concat=joined, dropout=dropout))
        self.layers = nn.ModuleList(stack)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Returns the last layer's node vectors."""
        for layer in self.layers[:-1]:
            x = F.elu(layer(x, edge_index))
        return self.layers[-1](x, edge_index)

    def attention(self, x: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the last layer's edges ``(2, E')``, with self-loops, and weights ``(E', H)``."""
        for layer in self.layers[:-1]:
            x = F.elu(layer(x, edge_index))
        last = self.layers[-1]
        assert isinstance(last, GATLayer | GATv2Layer)
        with torch.no_grad():
            return last.attention(x, edge_index)
