"""GCN: graph convolution with weights from the graph only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.nn.attention import with_self_loops
from gatlabel.nn.convolution import propagate


class GCNLayer(nn.Module):
    r"""Graph convolution with symmetric normalisation.

    ``out_i = Σ_j d_j^{-1/2} w(j→i) d_i^{-1/2} W x_j + bias`` with ``d_i = Σ_j w(j→i)``, self-loops
    of weight 1 added first (Kipf & Welling, ICLR 2017, arXiv:1609.02907, eq. 2).
    Equals PyG's ``GCNConv``, including that an existing self-loop keeps its weight.

    Args:
        in_channels: Width of the node vectors.
        out_channels: Width of the output.
        add_self_loops: Give every node without a self-loop one.
        normalize: Whether to normalise; otherwise the edge weights are used unchanged.
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
    """Returns ``D^{-1/2} (A + self_weight·I) D^{-1/2}``, where ``D`` are the sums of in-weights.

    Args:
        edge_index: int64 ``(2, E)``.
        edge_weight: ``(E,)``.
        nodes: Number of nodes L.
        add_self_loops: Add self-loops where there are none (existing ones keep their weight).
        self_weight: Weight of the added self-loops.

    Returns:
        The edges ``(2, E')`` and their weights ``(E',)``; 0 for edges at a node of degree 0.
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
