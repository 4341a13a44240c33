"""Heads with the edges of a label graph, and copies of them with fewer edges."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn.constants import HoldsConstants
from gatlabel.nn.heads.base import Head
from gatlabel.nn.identity import Identity

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class EdgeHead(HoldsConstants, Head):
    """A head that stores the edges of a label graph and supports ablation (``GraphAblatable``).

    Args:
        in_features: Feature width D.
        graph: The label graph; its label order is the order of the logits.

    Attributes:
        edge_index: int64 ``(2, E)``, row 0 sources, row 1 targets.
        edge_weight: ``(E,)``.
    """

    edge_index: Tensor
    edge_weight: Tensor

    def __init__(self, in_features: int, graph: LabelGraph) -> None:
        super().__init__(in_features, graph.labels)
        # constants: unchanged by moves and casts
        self._given = (graph.edge_index, graph.edge_weight)
        # The graph is an argument and not learned, so checkpoints need not repeat it.
        self.constant("edge_index", graph.edge_index.clone())
        weight = graph.edge_weight.to(torch.get_default_dtype()).clone()
        self.constant("edge_weight", weight)

    def drop_self_loops(self) -> None:
        """Removes self-loops, for heads with a separate term for the label itself."""
        others = self.edge_index[0] != self.edge_index[1]
        self.edge_index, self.edge_weight = self.edge_index[:, others], self.edge_weight[others]

    def identity(self) -> Identity:
        """The identity of any head, plus its edges."""
        return {**super().identity(), "edges": self.edges_digest()}

    def edges_digest(self) -> str | None:
        """Returns a hash of the edges and their weights.

        ``None`` if the edges are unknown: the head was created on the device ``meta``.
        """
        index = self.host_value("edge_index")
        if index is None:
            return None
        weight = self._given_weight(index)
        digest = hashlib.sha256(index.numpy().tobytes())
        digest.update(weight.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _given_weight(self, index: Tensor) -> Tensor:
        """Returns the original float32 weights ``(E,)`` of edges ``(2, E)``."""
        given, weight = self._given
        known, wanted = (e[1] * self.out_features + e[0] for e in (given, index))  # sorted
        place = torch.searchsorted(known, wanted).clamp(max=max(len(known) - 1, 0))
        if len(wanted) and (not len(known) or not torch.equal(known[place], wanted)):
            own = self.host_value("edge_weight")  # edges set by the user
            return self.edge_weight.detach().cpu().float() if own is None else own.float()
        return weight[place]

    def attention(self) -> tuple[Tensor, Tensor] | None:
        """Returns ``(edge_index, weights)`` of the last attention layer, or ``None``.

        ``edge_index`` is int64 ``(2, E')`` (with self-loops if the layer adds them) and ``weights``
        ``(E', H)``, summing to 1 over the in-edges of each label. ``None`` if there is no
        attention over edges, or if it depends on the image.
        """
        return None

    def without_edges(self) -> Self:
        """Returns a copy with all learned weights and no edges, to measure what edges do.

        Self-loops added by a layer stay, as does every term of a label alone.
        """
        alone = copy.deepcopy(self)
        with torch.no_grad():
            alone.drop_edges()
        return alone

    def with_edges(self, keep: Tensor) -> Self:
        """Returns a copy with all learned weights and a subset of the edges.

        The attention on removed edges is redistributed among the remaining ones.

        Args:
            keep: bool ``(E,)``, which columns of ``edge_index`` to keep.

        Raises:
            InputError: If ``keep`` is not bool with one value per edge.
        """
        if keep.dtype != torch.bool or keep.shape != self.edge_weight.shape:
            raise InputError(
                f"keep is {keep.dtype} {tuple(keep.shape)}: expected bool "
                f"({len(self.edge_weight)},), one value per edge of the head"
            )
        some = copy.deepcopy(self)
        with torch.no_grad():
            some.keep_edges(keep)
        return some

    def drop_edges(self) -> None:
        """Removes all edges in place."""
        self.keep_edges(torch.zeros_like(self.edge_weight, dtype=torch.bool))

    def keep_edges(self, keep: Tensor) -> None:
        """Removes all other edges in place; heads with learned values per edge extend it."""
        self.edge_weight = self.edge_weight[keep]
        self.edge_index = self.edge_index[:, keep]
