"""What graph-attention layers share: edges, dropout on the weights, how heads are joined."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gatlabel.nn.attention import with_self_loops
from gatlabel.nn.kernels import Adjacency


class AttentionGraphLayer(nn.Module, ABC):
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


def head_vectors(heads: int, width: int) -> nn.Parameter:
    """Makes ``(1, H, width)``: a learned vector a head, as PyG shapes and starts it."""
    parameter = nn.Parameter(torch.empty(1, heads, width))
    nn.init.xavier_uniform_(parameter)
    return parameter
