"""The attention layer (AL): how much each label attends to each of its in-neighbours.

A graph-attention layer has two parts, which the code separates. The *attention layer* (AL, this
file) computes one weight per edge. The *graph-convolution layer* (GCL, ``convolution.py``) sums
node vectors along the edges with these weights. Edges follow PyG: ``edge_index[0]`` is the source
``j``, ``edge_index[1]`` the target ``i``. Weights are normalised over the in-edges of ``i``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.kernels import Adjacency, attend, scatter_softmax, weighted_sum


def with_self_loops(edge_index: Tensor, nodes: int) -> Tensor:
    """Removes self-loops and appends one per node, in node order, as PyG does.

    Args:
        edge_index: int64 ``(2, E)``.
        nodes: Number of nodes L.
    """
    others = edge_index[:, edge_index[0] != edge_index[1]]
    loops = torch.arange(nodes, device=edge_index.device).expand(2, nodes)
    return torch.cat([others, loops], dim=1)


class AdditiveAttention(nn.Module):
    r"""GAT's attention layer with an optional prior from the edge weights.

    ``e_h(i,j) = LeakyReLU(a_h·x_j + b_h·x_i) + λ_h · prior(j→i)``,
    ``α_h(i,j) = softmax_j e_h(i,j)`` (Veličković et al., *Graph Attention Networks*, ICLR 2018,
    arXiv:1710.10903, eq. 1-3; the prior is an addition of this package).

    Args:
        in_features: Width F of the node vectors.
        heads: Number of attention heads H.
        negative_slope: Slope of the LeakyReLU below zero.

    Shapes:
        x ``(L, F)``, edge_index ``(2, E)``, prior ``(E,)`` -> ``(E, H)``.
    """

    def __init__(self, in_features: int, heads: int, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.source = nn.Linear(in_features, heads, bias=False)
        self.target = nn.Linear(in_features, heads, bias=False)
        self.prior_weight = nn.Parameter(torch.ones(heads))
        nn.init.xavier_uniform_(self.source.weight)
        nn.init.xavier_uniform_(self.target.weight)

    def forward(self, x: Tensor, edge_index: Tensor, prior: Tensor) -> Tensor:
        """Returns the attention weights ``(E, H)``."""
        source, target = edge_index[0], edge_index[1]
        scores = self.source(x)[source] + self.target(x)[target]
        scores = F.leaky_relu(scores, self.negative_slope) + prior[:, None] * self.prior_weight
        return scatter_softmax(scores, target, x.shape[0])

    def combine(
        self,
        x: Tensor,
        adjacency: Adjacency,
        prior: Tensor,
        values: Tensor,
        dropout: float = 0.0,
    ) -> Tensor:
        """Computes the attention and the weighted sum: ``out[h, i] = Σ_j α_h(i,j) values[h, j]``.

        Args:
            x: ``(L, F)``.
            adjacency: The graph.
            prior: ``(E,)``, in the order of the ``edge_index`` that ``adjacency`` was built from.
            values: ``(H, L, C)``.
            dropout: Probability of dropping a weight.

        Returns:
            ``(H, L, C)``; zero for labels without in-edges.
        """
        return attend(
            adjacency,
            self.source(x).T,
            self.target(x).T,
            values,
            prior=prior,
            prior_weight=self.prior_weight,
            negative_slope=self.negative_slope,
            dropout=dropout,
        )


class DynamicAttention(nn.Module):
    r"""GATv2's attention layer with an optional prior from the edge weights.

    ``e_h(i,j) = a_h · LeakyReLU(S_h x_j + T_h x_i) + λ_h · prior(j→i)``, softmax over ``j``
    (Brody et al., *How Attentive are Graph Attention Networks?*, ICLR 2022, arXiv:2105.14491,
    eq. 7: the nonlinearity comes before ``a``, so the ranking of neighbours can differ between
    targets; the prior is an addition of this package).

    Args:
        in_features: Width F of the node vectors.
        heads: Number of attention heads H.
        width: Width of the hidden score vector per head.
        negative_slope: Slope of the LeakyReLU below zero.

    Shapes:
        x ``(L, F)``, edge_index ``(2, E)``, prior ``(E,)`` -> ``(E, H)``.
    """

    def __init__(
        self, in_features: int, heads: int, width: int = 32, negative_slope: float = 0.2
    ) -> None:
        super().__init__()
        self.heads, self.width, self.negative_slope = heads, width, negative_slope
        self.source = nn.Linear(in_features, heads * width, bias=False)
        self.target = nn.Linear(in_features, heads * width, bias=False)
        self.direction = nn.Parameter(torch.empty(heads, width))
        self.prior_weight = nn.Parameter(torch.ones(heads))
        for weight in (self.source.weight, self.target.weight, self.direction):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, edge_index: Tensor, prior: Tensor) -> Tensor:
        """Returns the attention weights ``(E, H)``."""
        source, target = edge_index[0], edge_index[1]
        mixed = self.source(x)[source] + self.target(x)[target]  # (E, H * width)
        mixed = F.leaky_relu(mixed, self.negative_slope).view(-1, self.heads, self.width)
        scores = (mixed * self.direction).sum(-1) + prior[:, None] * self.prior_weight
        return scatter_softmax(scores, target, x.shape[0])

    def combine(
        self,
        x: Tensor,
        adjacency: Adjacency,
        prior: Tensor,
        values: Tensor,
        dropout: float = 0.0,
    ) -> Tensor:
        """Computes the same as :meth:`AdditiveAttention.combine`, with explicit weights."""
        edges = torch.stack(adjacency.sorted_edges())
        weights = self(x, edges, adjacency.in_order(prior))
        return weighted_sum(adjacency, F.dropout(weights, dropout), values)
