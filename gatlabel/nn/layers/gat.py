"""GAT: attention scores that are sums of a source term and a target term."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.kernels import Adjacency, attend, scatter_softmax
from gatlabel.nn.layers.base import AttentionGraphLayer, head_vectors


class GATLayer(AttentionGraphLayer):
    r"""Graph attention: a graph convolution (GCL) with edge weights from an attention layer (AL).

    GCL: ``v_j = W x_j``; AL: ``e_h(i,j) = LeakyReLU(a_src,h·v_j,h + a_dst,h·v_i,h)``,
    ``α_h = softmax_j e_h``; ``out_i = ‖_h Σ_j α_h(i,j) v_j,h + bias``
    (Veličković et al., ICLR 2018, arXiv:1710.10903, eq. 1-6). Equals PyG's ``GATConv``.

    Args:
        in_channels: Width of the node vectors.
        out_channels: Width of one head's output.
        heads: Number of attention heads H.
        concat: Concatenate the heads (width ``H * out_channels``) instead of averaging them.
        negative_slope: Slope of the LeakyReLU below zero.
        dropout: Probability of dropping an attention weight in training.
        add_self_loops: Give every node one edge to itself (existing ones are replaced).
        bias: Whether to add a learned bias.

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
    ) -> None:
        super().__init__(out_channels, heads, concat, negative_slope, dropout, add_self_loops, bias)
        self.lin = nn.Linear(in_channels, heads * out_channels, bias=False)
        nn.init.xavier_uniform_(self.lin.weight)
        self.att_src = head_vectors(heads, out_channels)
        self.att_dst = head_vectors(heads, out_channels)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Source and target scores ``(H, L)``: ``a_h·W_h x``, computed as ``(W_hᵀ a_h)·x``."""
        vectors = torch.cat([self.att_src, self.att_dst]).transpose(0, 1)  # (H, 2, C)
        directions = torch.bmm(vectors, self._weights())  # (H, 2, in)
        scores = (x @ directions.flatten(0, 1).T).view(-1, self.heads, 2)
        return scores[..., 0].T, scores[..., 1].T

    def _weights(self) -> Tensor:
        return self.lin.weight.view(self.heads, self.out_channels, -1)  # (H, C, in)

    def attention(self, x: Tensor, edges: Tensor | Adjacency) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E')``, self-loops included, and their weights ``(E', H)``."""
        edges = self._edges(edges, x.shape[0])
        from_source, from_target = (scores.T for scores in self._scores(x))
        scores = F.leaky_relu(from_source[edges[0]] + from_target[edges[1]], self.negative_slope)
        return edges, scatter_softmax(scores, edges[1], x.shape[0])

    def combine(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """Returns the weighted sum over the in-neighbours of each node, ``(H, L, C)``."""
        values = self.lin(x).view(-1, self.heads, self.out_channels).transpose(0, 1)
        return self._attend(adjacency, *self._scores(x), values)

    def _attend(self, adjacency: Adjacency, s: Tensor, t: Tensor, values: Tensor) -> Tensor:
        return attend(
            adjacency,
            s,
            t,
            values,
            negative_slope=self.negative_slope,
            dropout=self._dropping,
        )

    def products(self, x: Tensor, adjacency: Adjacency, features: Tensor) -> Tensor:
        """The layer's output times features, ``out @ features.T``, without forming the output.

        Computes ``Σ_h α_h (x (W_hᵀ features_hᵀ))`` from the right: the attention then sums B
        products per node instead of ``out_channels`` values. The score vectors are appended as two
        more features.

        Args:
            x: ``(L, in_channels)``.
            adjacency: The graph; no self-loops are added.
            features: ``(B, H * out_channels)``, or ``(B, out_channels)`` without ``concat``.

        Returns:
            ``(L, B)``.
        """
        batch, heads = len(features), self.heads
        if self.concat:
            parts = features.view(batch, heads, self.out_channels).transpose(0, 1)
        else:
            parts = (features / heads).expand(heads, -1, -1)
        vectors = torch.cat([self.att_src, self.att_dst]).transpose(0, 1)  # (H, 2, C)
        rows = torch.cat([parts, vectors], 1)  # (H, B + 2, C)
        # W on the right and not transposed, so that its gradient has the same memory layout
        projected = torch.bmm(rows, self._weights())  # (H, B + 2, in)
        products = F.linear(x, projected.flatten(0, 1))  # (L, H (B + 2))
        products = products.view(-1, heads, batch + 2).transpose(0, 1)
        values = products[..., :batch]  # (H, L, B)
        out = self._attend(adjacency, products[..., batch], products[..., batch + 1], values)
        out = out.sum(0)
        return out if self.bias is None else out + features @ self.bias
