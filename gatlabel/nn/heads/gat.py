"""The graph-attention heads: classifiers that borrow from their neighbours in the label graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError, unknown_choice
from gatlabel.nn.attention import AdditiveAttention, DynamicAttention
from gatlabel.nn.convolution import propagate
from gatlabel.nn.heads.base import GraphHead
from gatlabel.nn.heads.features import NodeFeatures
from gatlabel.nn.heads.stack import GATStack
from gatlabel.nn.layers import GATLayer, GATv2Layer

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

Base = Literal["classifiers", "nodes"]


class GATHead(GraphHead):
    r"""A graph-attention head that starts as a linear classifier and folds into one.

    With node features ``x (L, F)`` and free classifiers ``W0 (L, D)`` (``base="classifiers"``)::

        Z        = W0 V                                          (L, hidden)
        e_h(i,j) = LeakyReLU(a_h·x_j + b_h·x_i) + λ_h·prior(j→i)  attention layer (AL)
        α_h      = softmax over the in-neighbours j ≠ i
        W_i      = W0_i + Z_i O_self + concat_h(Σ_j α_h(i,j) Z_j,h) O_edge    (GCL, then out)

    ``prior`` is the weight of the edge. ``O_self`` and ``O_edge`` are zero at the start, so the
    head starts as a linear layer, a label is never diluted by its neighbours, and a label without
    in-edges has no edge term. The attention is GAT's (Veličković et al., ICLR 2018,
    arXiv:1710.10903, eq. 1-6); the residual form is this package's own, because a plain stack
    averages classifiers until they look alike.

    ``base="nodes"`` is that plain stack: ``layers`` GAT layers over the node features, ELU between
    them, self in the softmax, and the last layer's output is the classifier.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        node_features: Label vectors: ``"svd"``, ``"learned"``, a file, a mapping from name to
            vector, or a tensor ``(L, F)``; see :func:`gatlabel.graph.node_features.resolve`.
        hidden: Total width over the heads; a multiple of ``heads``.
        heads: Number of attention heads H.
        base: ``"classifiers"`` or ``"nodes"``.
        layers: Number of GAT layers with ``base="nodes"``.
        dropout: Probability of dropping an attention weight in training.
        bias: Whether labels have a learned bias (their prior).

    Raises:
        InputError: If ``hidden`` is no multiple of ``heads``, or an option is out of range.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "gat"
    attention_layer: ClassVar[type[AdditiveAttention] | type[DynamicAttention]] = AdditiveAttention
    stack_layer: ClassVar[type[GATLayer] | type[GATv2Layer]] = GATLayer

    def __init__(
        self,
        in_features: int,
        graph: LabelGraph,
        node_features: str | Path | Tensor | Mapping[str, Any] = "svd",
        hidden: int = 256,
        heads: int = 4,
        base: Base = "classifiers",
        layers: int = 2,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(in_features, graph)
        if heads < 1 or hidden < heads or hidden % heads:
            raise InputError(
                f"hidden={hidden} is the total width over heads={heads}: it must be a multiple"
            )
        if base not in ("classifiers", "nodes"):
            raise unknown_choice("base", base, ("classifiers", "nodes"))
        if layers < 1:
            raise InputError(f"layers={layers}: a stack needs at least one layer")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout} is a probability: at least 0, below 1")
        self.hidden, self.heads, self.base = hidden, heads, base
        self.layers, self.dropout = layers, dropout
        self.nodes = NodeFeatures(node_features, graph)
        own = nn.Linear(in_features, self.out_features, bias=bias)  # nn.Linear's own start
        self.bias = own.bias
        if base == "classifiers":
            # j ≠ i: "self" has a term of its own (the mlgcn_* graphs hold self-loops)
            others = self.edge_index[0] != self.edge_index[1]
            self.edge_index, self.edge_weight = self.edge_index[:, others], self.edge_weight[others]
            self.weight = own.weight  # W0
            self.project = nn.Linear(in_features, hidden, bias=False)  # V
            self.attend = self.attention_layer(self.nodes.width, heads)
            self.out_self = nn.Parameter(torch.zeros(hidden, in_features))
            self.out_edge = nn.Parameter(torch.zeros(hidden, in_features))
        else:
            self.stack = GATStack(
                self.stack_layer, self.nodes.width, hidden, in_features, heads, layers, dropout
            )

    @property
    def config(self) -> dict[str, Any]:
        """The options that make a head of the same shape."""
        names = ("hidden", "heads", "base", "layers", "dropout")
        own = {name: getattr(self, name) for name in names}
        return {**super().config, **self.nodes.config, **own, "bias": self.bias is not None}

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """``O_self`` and ``O_edge``: how far the head may leave the linear classifier."""
        return [self.out_self, self.out_edge] if self.base == "classifiers" else []

    def attention(self) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E')`` and the attention weights ``(E', H)`` of the last layer."""
        if self.base == "nodes":
            return self.stack.attention(self.nodes(), self.edge_index)
        return self.edge_index, self.attend(self.nodes(), self.edge_index, self.edge_weight)

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Returns weight ``(L, D)`` and bias ``(L,)``."""
        weight = self._residual() if self.base == "classifiers" else self._stacked()
        return weight, weight.new_zeros(len(weight)) if self.bias is None else self.bias

    def _stacked(self) -> Tensor:
        return self.stack(self.nodes(), self.edge_index)

    def _residual(self) -> Tensor:
        z = self.project(self.weight)  # (L, hidden)
        weights = self.attend(self.nodes(), self.edge_index, self.edge_weight)  # AL: (E, H)
        weights = F.dropout(weights, self.dropout, self.training)
        values = z.view(self.out_features, self.heads, -1)
        borrowed = propagate(values, weights, self.edge_index)  # GCL: (L, H, hidden / H)
        return self.weight + z @ self.out_self + borrowed.flatten(1) @ self.out_edge


class GATv2Head(GATHead):
    r"""As :class:`GATHead`, with GATv2's dynamic attention.

    ``e_h(i,j) = a_h · LeakyReLU(S_h x_j + T_h x_i) + λ_h·prior(j→i)``: the ranking of neighbours
    can differ from label to label (Brody et al., ICLR 2022, arXiv:2105.14491, eq. 7).
    """

    kind = "gatv2"
    attention_layer = DynamicAttention
    stack_layer = GATv2Layer
