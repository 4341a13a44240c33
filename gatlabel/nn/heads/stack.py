"""A plain stack of graph-attention layers from node features to classifiers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.kernels import Adjacency
from gatlabel.nn.layers import GATLayer, GATv2Layer


class GATStack(nn.Module):
    """Graph-attention layers with ELU between them.

    Args:
        layer: :class:`GATLayer` or :class:`GATv2Layer`.
        in_features: Width F of the node features.
        hidden: Total width over all heads of every layer but the last.
        out_features: Width of the last layer's output; heads are concatenated if their number
            divides it and averaged otherwise.
        heads: Number of attention heads H.
        layers: Number of layers.
        dropout: Probability of dropping an attention weight in training.

    Shapes:
        x ``(L, F)``, edge_index int64 ``(2, E)`` or an adjacency -> ``(L, out_features)``.
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

    def adjacency(self, edge_index: Tensor, nodes: int) -> Adjacency:
        """Returns the edges, with self-loops, in the form the kernels need."""
        return self._last.adjacency(edge_index, nodes)

    @property
    def _last(self) -> GATLayer | GATv2Layer:
        last = self.layers[-1]
        assert isinstance(last, GATLayer | GATv2Layer)
        return last

    def _inner(self, x: Tensor, edges: Tensor | Adjacency) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.elu(layer(x, edges), inplace=True)
        return x

    def forward(self, x: Tensor, edges: Tensor | Adjacency) -> Tensor:
        """Returns the last layer's node vectors."""
        return self._last(self._inner(x, edges), edges)

    def saves_by_products(self, adjacency: Adjacency, batch: int) -> bool:
        """Whether :meth:`products` needs fewer multiplications than computing the node vectors.

        It never does for GATv2, whose scores need the node vectors.
        """
        last = self._last
        if not isinstance(last, GATLayer):
            return False
        width, out, heads = last.lin.in_features, last.lin.out_features, last.heads
        reach = adjacency.edges  # kernels differ, but the cost of all grows with the channels
        formed = adjacency.nodes * (width * out + batch * out) + reach * out
        lazy = batch * out * width + (adjacency.nodes * width + reach) * heads * (batch + 2)
        return lazy < formed

    def products(self, x: Tensor, adjacency: Adjacency, features: Tensor) -> Tensor:
        """``forward(x) @ features.T``, ``(L, B)``, without forming the last node vectors.

        Args:
            x: ``(L, F)``.
            adjacency: The graph.
            features: ``(B, out_features)``.
        """
        last = self._last
        assert isinstance(last, GATLayer)
        return last.products(self._inner(x, adjacency), adjacency, features)

    def attention(self, x: Tensor, edges: Tensor | Adjacency) -> tuple[Tensor, Tensor]:
        """Returns the last layer's edges ``(2, E')``, with self-loops, and weights ``(E', H)``."""
        with torch.no_grad():
            return self._last.attention(self._inner(x, edges), edges)
