"""ML-GCN's head: two graph convolutions over label vectors compute the classifiers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.attention import with_self_loops
from gatlabel.nn.convolution import propagate
from gatlabel.nn.heads.edges import EdgeHead
from gatlabel.nn.heads.features import NodeFeatures
from gatlabel.nn.heads.protocols import Foldable
from gatlabel.nn.identity import Identity
from gatlabel.nn.layers import symmetric_normalisation

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class GCNHead(EdgeHead, Foldable):
    r"""Computes ``W = A · LeakyReLU(A X W1) · W2`` and ``logits = f Wᵀ``.

    The head of ML-GCN (Chen et al., *Multi-Label Image Recognition with Graph Convolutional
    Networks*, CVPR 2019, arXiv:1904.03582, eq. 2 and 7), LeakyReLU slope 0.2, no bias. With a
    graph of the variants ``mlgcn_code`` and ``mlgcn_paper`` (which contain a normalised matrix with
    self-loops), ``A`` is that matrix. Any other graph gets self-loops of weight 1 and the symmetric
    normalisation of Kipf & Welling.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        node_features: Label vectors: ``"svd"``, ``"learned"``, a file, a mapping from name to
            vector, or a tensor ``(L, F)``; see :func:`gatlabel.graph.node_features.resolve`.
        hidden: Width between the two convolutions (1024 in the paper).

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "gcn"
    operator: Tensor
    operator_edges: Tensor

    def __init__(
        self,
        in_features: int,
        graph: LabelGraph,
        node_features: str | Path | Tensor | Mapping[str, Any] = "svd",
        hidden: int = 1024,
    ) -> None:
        super().__init__(in_features, graph)
        self.hidden = hidden
        self.nodes = NodeFeatures(node_features, graph)
        self.normalised = (graph.variant or "").startswith("mlgcn")
        self._set_operator()
        self.first = nn.Parameter(torch.empty(self.nodes.width, hidden))
        self.second = nn.Parameter(torch.empty(hidden, in_features))
        for weight in (self.first, self.second):  # as in ML-GCN's code
            bound = 1 / math.sqrt(weight.shape[1])
            nn.init.uniform_(weight, -bound, bound)

    @property
    def config(self) -> dict[str, Any]:
        """The options that create a head of the same shape."""
        return {**super().config, **self.nodes.config, "hidden": self.hidden}

    def identity(self) -> Identity:
        """The identity of a head over a graph, plus whether its matrix is already normalised."""
        return {**super().identity(), "normalised": self.normalised}

    def _set_operator(self) -> None:
        edges, weights = self.edge_index, self.edge_weight
        if not self.normalised:
            edges, weights = symmetric_normalisation(edges, weights, self.out_features, True, 1.0)
        self.constant("operator_edges", edges)
        self.constant("operator", weights[:, None])

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges; a matrix that is not ML-GCN's is normalised again."""
        super().keep_edges(keep)
        self._set_operator()

    def drop_edges(self) -> None:
        """Sets ``A`` to the identity, its value without edges in either construction."""
        super().drop_edges()
        nodes = self.out_features
        self.operator_edges = with_self_loops(self.edge_index, nodes)
        self.operator = self.operator.new_ones(nodes, 1)

    def _convolve(self, nodes: Tensor, weight: Tensor) -> Tensor:
        values = (nodes @ weight)[:, None, :]  # (L, 1, C): one head
        return propagate(values, self.operator, self.operator_edges)[:, 0]

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Returns weight ``(L, D)`` and a bias ``(L,)`` of zeros."""
        hidden = F.leaky_relu(self._convolve(self.nodes(), self.first), 0.2)
        weight = self._convolve(hidden, self.second)
        return weight, weight.new_zeros(self.out_features)
