"""Graph layers that equal PyG's ``GATConv``, ``GATv2Conv`` and ``GCNConv``.

Each takes ``(x, edge_index)`` as PyG's do and has the same parameter names and shapes, so
``layer.load_state_dict(pyg_layer.state_dict())`` carries weights over. None of them needs PyG.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.attention import with_self_loops
from gatlabel.nn.convolution import propagate
from gatlabel.nn.kernels import Adjacency, attend, scatter_softmax, weighted_sum


def _head_vectors(heads: int, width: int) -> nn.Parameter:
    parameter = nn.Parameter(torch.empty(1, heads, width))
    nn.init.xavier_uniform_(parameter)
    return parameter


class _AttentionGraphLayer(nn.Module, ABC):
    """What GAT and GATv2 share: the edges, dropout on the weights, and how heads are joined."""

    def __init__(
        self,
        out_channels: int,
        heads: int,
        concat: bool,
        negative_slope: float,
        dropout: float,
        add_self_loops: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.out_channels, self.heads, self.concat = out_channels, heads, concat
        self.negative_slope, self.dropout, self.add_self_loops = (
            negative_slope,
            dropout,
            add_self_loops,
        )
        width = heads * out_channels if concat else out_channels
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    @abstractmethod
    def attention(self, x: Tensor, edges: Tensor | Adjacency) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E')``, self-loops included, and their weights ``(E', H)``."""

    @abstractmethod
    def combine(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        """Returns what each node takes up from its in-neighbours, ``(H, L, C)``."""

    def adjacency(self, edge_index: Tensor, nodes: int) -> Adjacency:
        """Returns the edges as the kernels want them, with the self-loops that the layer adds.

        A layer called with this rather than with ``edge_index`` sorts nothing again.
        """
        return Adjacency(self._edges(edge_index, nodes), nodes)

    def forward(self, x: Tensor, edges: Tensor | Adjacency) -> Tensor:
        """Returns the new node vectors.

        Args:
            x: ``(L, in_channels)``.
            edges: ``edge_index``, or an :class:`Adjacency`, which is taken as it stands: no
                self-loops are added to it.
        """
        if not isinstance(edges, Adjacency):
            edges = self.adjacency(edges, x.shape[0])
        out = self.combine(x, edges).transpose(0, 1)  # AL and GCL: (L, H, C)
        out = out.flatten(1) if self.concat else out.mean(1)
        return out if self.bias is None else out + self.bias

    def _edges(self, edges: Tensor | Adjacency, nodes: int) -> Tensor:
        if isinstance(edges, Adjacency):
            return torch.stack(edges.sorted_edges())
        return with_self_loops(edges, nodes) if self.add_self_loops else edges

    @property
    def _dropping(self) -> float:
        return self.dropout if self.training else 0.0


class GATLayer(_AttentionGraphLayer):
    r"""Graph attention: a graph convolution (GCL) whose edge weights an attention layer (AL) sets.

    GCL: ``v_j = W x_j``; AL: ``e_h(i,j) = LeakyReLU(a_src,h·v_j,h + a_dst,h·v_i,h)``,
    ``α_h = softmax_j e_h``; ``out_i = ‖_h Σ_j α_h(i,j) v_j,h + bias``
    (Veličković et al., ICLR 2018, arXiv:1710.10903, eq. 1-6). Equals PyG's ``GATConv``.

    Args:
        in_channels: Width of the node vectors.
        out_channels: Width of one head's output.
        heads: Number of attention heads H.
        concat: Join the heads (width ``H * out_channels``) rather than average them.
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
        self.att_src = _head_vectors(heads, out_channels)
        self.att_dst = _head_vectors(heads, out_channels)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Source and target scores, each ``(H, L)``: ``a_h·W_h x`` is taken as ``(W_hᵀ a_h)·x``."""
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
        """Returns what each node takes up from its in-neighbours, ``(H, L, C)``."""
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

        ``Σ_h α_h (x (W_hᵀ features_hᵀ))`` from the right: the attention carries B products a node
        rather than ``out_channels`` values. The score vectors ride along as two more features.

        Args:
            x: ``(L, in_channels)``.
            adjacency: The graph, as it stands.
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
        # W on the right and not transposed: so its gradient comes in its own memory order
        projected = torch.bmm(rows, self._weights())  # (H, B + 2, in)
        products = F.linear(x, projected.flatten(0, 1))  # (L, H (B + 2))
        products = products.view(-1, heads, batch + 2).transpose(0, 1)
        values = products[..., :batch]  # (H, L, B)
        out = self._attend(adjacency, products[..., batch], products[..., batch + 1], values)
        out = out.sum(0)
        return out if self.bias is None else out + features @ self.bias


class GATv2Layer(_AttentionGraphLayer):
    r"""Graph attention with GATv2's dynamic scores.

    GCL: ``v_j = W_l x_j``; AL: ``e_h(i,j) = a_h · LeakyReLU(W_l x_j + W_r x_i)_h``; the rest as in
    :class:`GATLayer` (Brody et al., ICLR 2022, arXiv:2105.14491, eq. 7). Equals ``GATv2Conv``.

    Args:
        in_channels: Width of the node vectors.
        out_channels: Width of one head's output.
        heads: Number of attention heads H.
        concat: Join the heads (width ``H * out_channels``) rather than average them.
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
        self.att = _head_vectors(heads, out_channels)

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
        """Returns what each node takes up from its in-neighbours, ``(H, L, C)``."""
        values = self._values(x)
        weights = self._attention(values, x, torch.stack(adjacency.sorted_edges()))
        weights = F.dropout(weights, self._dropping)
        return weighted_sum(adjacency, weights, values.transpose(0, 1))


class GCNLayer(nn.Module):
    r"""Graph convolution with symmetric normalisation.

    ``out_i = Σ_j d_j^{-1/2} w(j→i) d_i^{-1/2} W x_j + bias`` with ``d_i = Σ_j w(j→i)``, self-loops
    of weight 1 added first (Kipf & Welling, ICLR 2017, arXiv:1609.02907, eq. 2).
    Equals PyG's ``GCNConv``; an existing self-loop keeps its weight, as there.

    Args:
        in_channels: Width of the node vectors.
        out_channels: Width of the output.
        add_self_loops: Give every node without a self-loop one.
        normalize: Normalise; otherwise the edge weights are used as they are.
        bias: Whether to add a learned bias.

    Shapes:
        x ``(L, in_channels)``, edge_index int64 ``(2, E)``, edge_weight ``(E,)`` ->
        ``(L, out_channels)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        add_self_loops: bool = True,
        normalize: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.add_self_loops, self.normalize = add_self_loops, normalize
        self.lin = nn.Linear(in_channels, out_channels, bias=False)
        nn.init.xavier_uniform_(self.lin.weight)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Returns the new node vectors."""
        if edge_weight is None:
            edge_weight = x.new_ones(edge_index.shape[1])
        if self.normalize:
            edge_index, edge_weight = symmetric_normalisation(
                edge_index,
                edge_weight,
                x.shape[0],
                self.add_self_loops,
                1.0,
            )
        values = self.lin(x)[:, None, :]  # (L, 1, C): one head
        out = propagate(values, edge_weight[:, None], edge_index)[:, 0]
        return out if self.bias is None else out + self.bias


def symmetric_normalisation(
    edge_index: Tensor, edge_weight: Tensor, nodes: int, add_self_loops: bool, self_weight: float
) -> tuple[Tensor, Tensor]:
    """Edges and weights of ``D^{-1/2} (A + self_weight·I) D^{-1/2}``, ``D`` the sums of in-weights.

    Args:
        edge_index: int64 ``(2, E)``.
        edge_weight: ``(E,)``.
        nodes: Number of nodes L.
        add_self_loops: Add a self-loop where there is none (one that exists keeps its weight).
        self_weight: Weight of the added self-loops.

    Returns:
        The edges ``(2, E')`` and their weights ``(E',)``; a node of degree 0 sends nothing.
    """
    if add_self_loops:
        loops = edge_index[0] == edge_index[1]
        own = edge_weight.new_full((nodes,), self_weight)
        own = own.index_put((edge_index[0, loops],), edge_weight[loops])
        edge_index = with_self_loops(edge_index, nodes)
        edge_weight = torch.cat([edge_weight[~loops], own])
    source, target = edge_index[0], edge_index[1]
    degree = edge_weight.new_zeros(nodes).index_add(0, target, edge_weight)
    scale = torch.where(degree > 0, degree.clamp(min=torch.finfo(degree.dtype).tiny).rsqrt(), 0.0)
    return edge_index, scale[source] * edge_weight * scale[target]
