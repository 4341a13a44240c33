"""The base class of graph-attention layers: edges, attention dropout, joining of heads."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gatlabel.nn.attention import with_self_loops
from gatlabel.nn.kernels import Adjacency


class AttentionGraphLayer(nn.Module, ABC):
    """Common parts of GAT and GATv2: edges, attention dropout, joining of heads."""

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
        """Returns the weighted sum over the in-neighbours of each node, ``(H, L, C)``."""

    def adjacency(self, edge_index: Tensor, nodes: int) -> Adjacency:
        """Returns the edges in the form of the kernels, with the self-loops that the layer adds.

        A layer called with the result instead of ``edge_index`` need not sort the edges again.
        """
        return Adjacency(self._edges(edge_index, nodes), nodes)

    def forward(self, x: Tensor, edges: Tensor | Adjacency) -> Tensor:
        """Returns the new node vectors.

        Args:
            x: ``(L, in_channels)``.
            edges: ``edge_index``, or an :class:`Adjacency`, to which no self-loops are added.
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


def head_vectors(heads: int, width: int) -> nn.Parameter:
    """Makes one learned vector per head, ``(1, H, width)``, initialised as in PyG."""
    parameter = nn.Parameter(torch.empty(1, heads, width))
    nn.init.xavier_uniform_(parameter)
    return parameter
