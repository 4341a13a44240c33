"""Graph-attention heads, which combine the classifiers of neighbours in the label graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError, unknown_choice
from gatlabel.nn.attention import AdditiveAttention, DynamicAttention
from gatlabel.nn.heads.base import check_dropout, check_width
from gatlabel.nn.heads.features import NodeFeatures
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.nn.heads.stack import GATStack
from gatlabel.nn.identity import Identity
from gatlabel.nn.kernels import Adjacency
from gatlabel.nn.layers import GATLayer, GATv2Layer

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

Base = Literal["classifiers", "nodes"]


class GATHead(SharedClassifierHead):
    r"""A graph-attention head that starts as a linear classifier and folds into one.

    With node features ``x (L, F)`` and free classifiers ``W0 (L, D)`` (``base="classifiers"``)::

        Z        = W0 V                                          (L, hidden)
        e_h(i,j) = LeakyReLU(a_h·x_j + b_h·x_i) + λ_h·prior(j→i)  attention layer (AL)
        α_h      = softmax over the in-neighbours j ≠ i
        W_i      = W0_i + Z_i O_self + concat_h(Σ_j α_h(i,j) Z_j,h) O_edge    (GCL, then out)

    ``prior`` is the weight of the edge. ``O_self`` and ``O_edge`` are initialised with zeros:
    the untrained head is a linear layer, neighbours do not dilute a label, and a label without
    in-edges has no edge term. On a graph of similarity (:class:`gatlabel.LabelGraph`), or with
    ``similarity_weight`` κ above 0, ``W0_i`` in the first term of ``W_i`` becomes
    ``W0_i + κ_i Σ_j w(j→i) W0_j / Σ_k w(k→i)``. Similar labels then share part of what they learn,
    more so the fewer images a label has: ``κ_i = κ · 3 / (3 + n_i)`` if the graph has counts.

    The attention is GAT's (Veličković et al., ICLR 2018, arXiv:1710.10903, eq. 1-6). The residual
    form is an addition of this package, because a plain stack of layers averages classifiers until
    they are nearly equal.

    ``base="nodes"`` is that plain stack: ``layers`` GAT layers over the node features, with ELU
    between them and self-loops in the softmax. The output of the last layer is the classifier.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        node_features: Label vectors: ``"svd"``, ``"names"``, ``"learned"``, a file, a mapping from
            name to vector, or a tensor ``(L, F)``; see
            :func:`gatlabel.graph.node_features.resolve`.
        hidden: Total width over all heads; a multiple of ``heads``.
        heads: Number of attention heads H.
        base: ``"classifiers"`` or ``"nodes"``.
        layers: Number of GAT layers with ``base="nodes"``.
        dropout: Probability of dropping an attention weight in training.
        bias: Whether labels have a learned bias.
        complete: With ``base="nodes"``: every label attends to every label, whatever the edges of
            the graph. This costs ``O(L log L + L D)`` instead of ``O(L²)``. Training with dropout
            and :class:`GATv2Head`, whose scores are not sums, cost ``O(L²)``. See docs/kernels.md.
        similarity_weight: κ, at least 0 and below 1, with ``base="classifiers"``: the weight of
            similar labels in a classifier. By default 0.5 on a graph of similarity, otherwise 0.

    Raises:
        InputError: If ``hidden`` is not a multiple of ``heads``, or an option is out of range.

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
        complete: bool = False,
        similarity_weight: float | None = None,
    ) -> None:
        super().__init__(in_features, graph)
        check_width(hidden, heads)
        check_dropout(dropout)
        if base not in ("classifiers", "nodes"):
            raise unknown_choice("base", base, ("classifiers", "nodes"))
        if layers < 1:
            raise InputError(f"layers={layers}: must be at least 1")
        if complete and base != "nodes":
            raise InputError(f'complete=True needs base="nodes", not base={base!r}')
        if similarity_weight and base != "classifiers":
            raise InputError(
                f'similarity_weight={similarity_weight} needs base="classifiers", not base={base!r}'
            )
        self.hidden, self.heads, self.base = hidden, heads, base
        self.layers, self.dropout, self.complete = layers, dropout, complete
        self.nodes = NodeFeatures(node_features, graph)
        own = nn.Linear(
            in_features, self.out_features, bias=bias
        )  # the initialisation of nn.Linear
        self.bias = own.bias
        if base == "classifiers":
            # j ≠ i: the label itself has a separate term (mlgcn_* graphs have self-loops)
            self.drop_self_loops()
            self.weight = own.weight  # W0
            self.project = nn.Linear(in_features, hidden, bias=False)  # V
            self.attend = self.attention_layer(self.nodes.width, heads)
            self.out_self = nn.Parameter(torch.zeros(hidden, in_features))
            self.out_edge = nn.Parameter(torch.zeros(hidden, in_features))
        else:
            self.stack = GATStack(
                self.stack_layer, self.nodes.width, hidden, in_features, heads, layers, dropout
            )
        self.adjacency = self._sorted()
        self._share(similarity_weight if base == "classifiers" else 0.0, graph)

    @property
    def config(self) -> dict[str, Any]:
        """The options that create a head of the same shape."""
        names = ("hidden", "heads", "base", "layers", "dropout", "complete")
        own = {name: getattr(self, name) for name in names}
        return {**super().config, **self.nodes.config, **own, "bias": self.bias is not None}

    def identity(self) -> Identity:
        """The identity of a head over a graph; ``complete`` is implied by the edges."""
        return {name: v for name, v in super().identity().items() if name != "complete"}

    def edges_digest(self) -> str | None:
        """The hash of the edges; a plain stack ignores edge weights and adds self-loops."""
        labels, edges = self.out_features, self.host_value("edge_index")
        if self.base == "classifiers" or edges is None:
            return super().edges_digest()
        edges = edges[:, edges[0] != edges[1]]
        if self.complete or edges.shape[1] == labels * (labels - 1):
            return "complete"
        return hashlib.sha256(edges.contiguous().numpy().tobytes()).hexdigest()

    def residual_parameters(self) -> list[nn.Parameter]:
        """``O_self`` and ``O_edge``: the deviation from the linear classifier."""
        return [self.out_self, self.out_edge] if self.base == "classifiers" else []

    def linear_weight(self) -> Tensor | None:
        """``W0 (L, D)``, or ``None`` in a plain stack."""
        return self.weight if self.base == "classifiers" else None

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; new edges are sorted again."""
        super().__setattr__(name, value)
        if name == "edge_index" and "adjacency" in self._modules:
            self.adjacency = self._sorted()

    def drop_edges(self) -> None:
        """Removes all edges in place, including those of the complete graph."""
        self.complete = False
        super().drop_edges()

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges.

        Raises:
            InputError: If ``complete=True``, so that the edges of the graph are not used.
        """
        if self.complete:
            raise InputError(
                "a head with complete=True does not use the edges of its graph, so they cannot be "
                "removed one by one; without_edges() removes all"
            )
        super().keep_edges(keep)

    def _sorted(self) -> Adjacency:
        if self.complete:
            return Adjacency(None, self.out_features).to(self.edge_index.device)
        if self.base == "nodes":
            return self.stack.adjacency(self.edge_index, self.out_features)
        return Adjacency(self.edge_index, self.out_features)

    def attention(self) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E')`` and the attention weights ``(E', H)`` of the last layer."""
        if self.base == "nodes":
            edges = self.adjacency if self.complete else self.edge_index
            return self.stack.attention(self.nodes(), edges)
        return self.edge_index, self.attend(self.nodes(), self.edge_index, self.edge_weight)

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Returns weight ``(L, D)`` and bias ``(L,)``."""
        if self.base == "nodes":
            weight = self.stack(self.nodes(), self.adjacency)
        else:
            z = self.project(self.weight)  # (L, hidden)
            gathered = self._combine(z.view(-1, self.heads, self.hidden // self.heads))
            weight = torch.addmm(self._mixed(self.weight), z, self.out_self)
            weight = torch.addmm(weight, gathered.transpose(0, 1).flatten(1), self.out_edge)
        return weight, weight.new_zeros(len(weight)) if self.bias is None else self.bias

    def forward(self, features: Tensor) -> Tensor:
        """Maps features ``(..., D)`` to logits ``(..., L)``, as ``nn.Linear`` does.

        Classifiers are formed explicitly only if that needs fewer operations than passing the
        products with the features through the graph. Both give the same logits.
        """
        flat = features.reshape(-1, self.in_features)
        if torch.compiler.is_exporting() or not self._saves_by_products(len(flat)):
            return super().forward(features)  # an exported head must not branch on the batch
        products = self._stack_products(flat) if self.base == "nodes" else self._products(flat)
        logits = products.T if self.bias is None else products.T + self.bias
        return logits.view(*features.shape[:-1], self.out_features)

    def _combine(self, values: Tensor) -> Tensor:
        """Applies attention to the neighbours' values, ``(L, H, C) -> (H, L, C)``."""
        return self.attend.combine(
            self.nodes(),
            self.adjacency,
            self.edge_weight,
            values.transpose(0, 1),
            self.dropout if self.training else 0.0,
        )

    def _saves_by_products(self, batch: int) -> bool:
        """Whether the logits of a batch need fewer multiplications without explicit classifiers."""
        if self.base == "nodes":
            return self.stack.saves_by_products(self.adjacency, batch)
        labels, width, reach = self.out_features, self.in_features, self.adjacency.edges
        formed = labels * width * (3 * self.hidden + batch) + reach * self.hidden
        lazy = (
            4 * batch * width * self.hidden
            + (1 + self.heads + (self.mixing is not None)) * batch * labels * width
            + reach * self.heads * batch
        )
        return lazy < formed

    def _stack_products(self, features: Tensor) -> Tensor:
        return self.stack.products(self.nodes(), self.adjacency, features)

    def _products(self, features: Tensor) -> Tensor:
        """Computes ``W fᵀ (L, B)`` as ``W0 (f + V O_self f) + Σ_h α_h W0 V_h O_edge,h f``.

        Similar labels contribute ``κ s (W0 f)``, so ``W0 f`` is needed separately.
        """
        batch, heads, part = len(features), self.heads, self.hidden // self.heads
        narrow = torch.stack([features @ self.out_self.T, features @ self.out_edge.T])
        narrow = narrow.view(2 * batch, heads, part).transpose(0, 1)  # (H, 2 B, hidden / H)
        wide = torch.bmm(narrow, self.project.weight.view(heads, part, -1))  # (H, 2 B, D)
        own, sent = features + wide[:, :batch].sum(0), wide[:, batch:]
        columns = torch.cat([sent.reshape(-1, self.in_features), own])  # ((H + 1) B, D)
        if self.mixing is not None:
            columns = torch.cat([columns, features])
        products = self.weight @ columns.T  # (L, (H + 1) B), or (H + 2) B columns
        edge, rest = products[:, : heads * batch], products[:, heads * batch :]
        gathered = self._combine(edge.view(len(products), heads, batch)).sum(0)
        logits = rest[:, :batch] + gathered
        return logits if self.mixing is None else logits + self.mixing(rest[:, batch:])


class GATv2Head(GATHead):
    r"""Like :class:`GATHead`, with GATv2's dynamic attention.

    ``e_h(i,j) = a_h · LeakyReLU(S_h x_j + T_h x_i) + λ_h·prior(j→i)``: the ranking of neighbours
    can differ between labels (Brody et al., ICLR 2022, arXiv:2105.14491, eq. 7).
    """

    kind = "gatv2"
    attention_layer = DynamicAttention
    stack_layer = GATv2Layer
