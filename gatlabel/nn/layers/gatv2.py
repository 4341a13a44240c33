"""GATv2: attention scores that add source and target before the nonlinearity."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.kernels import Adjacency, scatter_softmax, weighted_sum
from gatlabel.nn.layers.base import AttentionGraphLayer, head_vectors


class GATv2Layer(AttentionGraphLayer):
    r"""Graph attention with GATv2's dynamic scores.

    GCL: ``v_j = W_l x_j``; AL: ``e_h(i,j) = a_h · LeakyReLU(W_l x_j + W_r x_i)_h``; the rest as in
    :class:`~gatlabel.nn.layers.GATLayer` (Brody et al., ICLR 2022, arXiv:2105.14491, eq. 7).
    Equals PyG's ``GATv2Conv``.

    Args:
        in_channels: Width of the node vectors.
        out_channels: Width of one head's output.
        heads: Number of attention heads H.
        concat: Concatenate the heads (width ``H * out_channels``) instead of averaging them.
        negative_slope: Slope of the LeakyReLU below zero.
        dropout: Probability of dropping an attention weight in training.
        add_self_loops: Give every node one edge to itself (existing ones are replaced).
        bias: Whether the projections and the output have biases, as in PyG.
        share_weights: Use one projection for sources and targets.

    Shapes:
        x ``(L, in_channels)``, edge_index int64 ``(2, E)`` ->
        ``(L, H * out_channels)``, or ``(L, out_channels)`` without ``concat``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        add_self_loops: bool = True,
        bias: bool = True,
        share_weights: bool = False,
    ) -> None:
        super().__init__(out_channels, heads, concat, negative_slope, dropout, add_self_loops, bias)
        self.lin_l = nn.Linear(in_channels, heads * out_channels, bias=bias)
        self.lin_r = (
            self.lin_l if share_weights else nn.Linear(in_channels, heads * out_channels, bias=bias)
        )
        for projection in (self.lin_l, self.lin_r):
            nn.init.xavier_uniform_(projection.weight)
            if bias:
                nn.init.zeros_(projection.bias)
        self.att = head_vectors(heads, out_channels)

    def _attention(self, values: Tensor, x: Tensor, edges: Tensor) -> Tensor:
        queries = self.lin_r(x).view(-1, self.heads, self.out_channels)
        mixed = F.leaky_relu(values[edges[0]] + queries[edges[1]], self.negative_slope)
        return scatter_softmax((mixed * self.att).sum(-1), edges[1], x.shape[0])

    def _values(self, x: Tensor) -> Tensor:
        return self.lin_l(x).view(-1, self.heads, self.out_channels)

    def attention(self, x: Tensor, edges: Tensor | Adjacency) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E')``, self-loops included, and their weights ``(E', H)``."""
        edges = self._edges(edges, x.shape[0])
        return edges, self._attention(self._values(x), x, edges)

    def combine(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """Returns the weighted sum over the in-neighbours of each node, ``(H, L, C)``."""
        values = self._values(x)
        weights = self._attention(values, x, torch.stack(adjacency.sorted_edges()))
        weights = F.dropout(weights, self._dropping)
        return weighted_sum(adjacency, weights, values.transpose(0, 1))
