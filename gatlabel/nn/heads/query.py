"""Label queries with cross-attention to the feature map."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import MapHead, check_dropout, check_width, given_labels
from gatlabel.nn.heads.features import NodeFeatures

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


# Features are scaled down to this size before a normalisation's variance overflows. At such sizes,
# attention and normalisation no longer depend on the scale.
LARGEST = 2.0**50


class QueryLayer(nn.Module):
    r"""One decoder layer, normalised after each part.

    ``q ← LN(q [+ SA(q)])``, ``q ← LN(q + CA(q, x))``, ``q ← LN(q + FFN(q))``. Without the
    self-attention ``SA`` it is ML-Decoder's layer (arXiv:2111.12933, section 3.2), with it
    Query2Label's (arXiv:2107.10834, eq. 1-3).

    Args:
        width: Width of queries and map.
        heads: Number of attention heads.
        feedforward: Width inside the FFN.
        dropout: Probability of dropping an attention weight or an inner value in training.
        self_attention: Whether queries attend to each other.

    Shapes:
        queries ``(B, L, width)``, positions ``(B, U, width)`` -> ``(B, L, width)``.
    """

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, self_attention: bool
    ) -> None:
        super().__init__()
        make = nn.MultiheadAttention
        self.among = make(width, heads, dropout, batch_first=True) if self_attention else None
        self.cross = make(width, heads, dropout, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.inner = nn.Linear(width, feedforward)
        self.outer = nn.Linear(feedforward, width)
        self.dropout = dropout

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _attend(self, attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor) -> Tensor:
        # The fused kernel has no second-order gradient; with dropout it does not exist on a CPU.
        twice = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        plain = twice and queries.device.type == "cpu"
        with sdpa_kernel(SDPBackend.MATH) if plain else contextlib.nullcontext():
            found: Tensor = attention(queries, keys, keys, need_weights=False)[0]
        return found

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """Returns the queries after attention to the positions."""
        if self.among is not None:
            queries = queries + self._drop(self._attend(self.among, queries, queries))
        queries = self.norms[0](queries)
        seen = self._attend(self.cross, queries, positions)
        queries = self.norms[1](queries + self._drop(seen))
        changed = self.outer(self._drop(self.inner(queries).relu()))
        out: Tensor = self.norms[2](queries + self._drop(changed))
        return out


class QueryHead(MapHead):
    r"""One query per label cross-attends to the feature map and is then scored by its own vector.

    ``x_u = ReLU(P f_u + p)``, ``q_i`` through ``layers`` decoder layers over ``x``,
    ``logit_i = w_i·q_i + b_i`` (the group-wise FC of ML-Decoder, one group per label). Ridnik et
    al., *ML-Decoder*, WACV 2023, arXiv:2111.12933; Liu et al., *Query2Label*, arXiv:2107.10834.
    There is no positional encoding, as in ML-Decoder.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph that provides labels and their vectors instead; its edges are not used.
        node_features: ``None`` for free learned queries. Otherwise label vectors, which one linear
            map turns into queries: ``"svd"``, ``"learned"``, a file or a mapping (these need a
            graph), or a tensor ``(L, F)``.
        hidden: Width of the queries (768 in ML-Decoder); a multiple of ``heads``.
        heads: Number of attention heads.
        layers: Number of decoder layers.
        feedforward: Width inside the layer's FFN; ``None`` takes ``4 * hidden``.
        self_attention: Whether queries attend to each other, as in Query2Label; costs O(L²).
        dropout: Probability of dropping an attention weight or an inner value in training.

    Raises:
        InputError: If ``hidden`` is not a multiple of ``heads``, an option is out of range, or
            labels or their vectors are missing.

    Shapes:
        features ``(B, D, h, w)`` -> logits ``(B, L)``.
    """

    kind = "query"

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        node_features: str | Path | Tensor | Mapping[str, Any] | None = None,
        hidden: int = 256,
        heads: int = 8,
        layers: int = 1,
        feedforward: int | None = None,
        self_attention: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_features, given_labels("QueryHead", labels, graph))
        check_width(hidden, heads)
        check_dropout(dropout)
        if layers < 1:
            raise InputError(f"layers={layers}: must be at least 1")
        if feedforward is not None and feedforward < 1:
            raise InputError(f"feedforward={feedforward}: must be at least 1")
        self.hidden, self.heads, self.layers = hidden, heads, layers
        self.feedforward = feedforward or 4 * hidden
        self.self_attention, self.dropout = self_attention, dropout
        self.embed = nn.Linear(in_features, hidden)  # P, p
        self.to_query: nn.Linear | None = None
        if node_features is None:
            free = nn.Parameter(torch.randn(self.out_features, hidden))
            self.nodes = NodeFeatures(free, _no_edges(self.out_features))
        else:
            if graph is None and not isinstance(node_features, Tensor):
                raise InputError("a QueryHead needs label names for these vectors: give graph=…")
            self.nodes = NodeFeatures(node_features, graph or _no_edges(self.out_features))
            self.to_query = nn.Linear(self.nodes.width, hidden)
        self.decoder = nn.ModuleList(
            QueryLayer(hidden, heads, self.feedforward, dropout, self_attention)
            for _ in range(layers)
        )
        out = nn.Linear(hidden, self.out_features)
        self.weight, self.bias = out.weight, out.bias

    @property
    def config(self) -> dict[str, Any]:
        """The options that create a head of the same shape."""
        names = ("hidden", "heads", "layers", "feedforward", "self_attention", "dropout")
        own = {name: getattr(self, name) for name in names}
        vectors = {"node_features": None} if self.to_query is None else self.nodes.config
        return {**super().config, **vectors, **own}

    def queries(self) -> Tensor:
        """Returns the label queries ``(L, hidden)`` before attention to an image."""
        vectors: Tensor = self.nodes()
        return vectors if self.to_query is None else self.to_query(vectors)

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, D, h, w)`` to logits ``(B, L)``."""
        positions = _bounded(self.embed(self.positions(features)).relu())
        queries = self.queries().expand(features.shape[0], -1, -1)
        for layer in self.decoder:
            queries = layer(queries, positions)
        return (queries * self.weight).sum(-1) + self.bias


def _bounded(positions: Tensor) -> Tensor:
    """Scales the images whose positions ``(B, U, width)`` are larger than :data:`LARGEST`."""
    largest = positions.detach().amax((1, 2), keepdim=True)
    return positions * torch.where(largest > LARGEST, LARGEST / largest, 1.0)


def _no_edges(labels: int) -> LabelGraph:
    """Returns a graph with unnamed labels, sufficient for vectors in label order."""
    from gatlabel.graph import LabelGraph

    with torch.device("cpu"):  # on a real device, even if the head is created on meta
        none = torch.zeros(2, 0, dtype=torch.int64)
        return LabelGraph([str(label) for label in range(labels)], none)
