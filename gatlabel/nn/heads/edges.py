"""Heads over a label graph: they keep its edges, and make copies with fewer."""

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
    """A head that keeps the edges of a label graph, and can be ablated (:class:`GraphAblatable`).

    Args:
        in_features: Feature width D.
        graph: The label graph; its label order is the order of the logits.

    Attributes:
        edge_index: int64 ``(2, E)``, sources above targets.
        edge_weight: ``(E,)``.
    """

    edge_index: Tensor
    edge_weight: Tensor

    def __init__(self, in_features: int, graph: LabelGraph) -> None:
        super().__init__(in_features, graph.labels)
        # as they were given, wherever the head is moved and whatever it is cast to
        self._given = (graph.edge_index, graph.edge_weight)
        # The graph is an argument, not something learned: a checkpoint need not repeat it.
        self.constant("edge_index", graph.edge_index.clone())
        weight = graph.edge_weight.to(torch.get_default_dtype()).clone()
        self.constant("edge_weight", weight)

    def drop_self_loops(self) -> None:
        """Leaves out edges from a label to itself, for heads with a term of their own for it."""
        others = self.edge_index[0] != self.edge_index[1]
        self.edge_index, self.edge_weight = self.edge_index[:, others], self.edge_weight[others]

    def identity(self) -> Identity:
        """As of any head, and its edges."""
        return {**super().identity(), "edges": self.edges_digest()}

    def edges_digest(self) -> str | None:
        """Returns a text that differs where the edges or their weights do.

        ``None`` where the edges are not known: on the device ``meta`` from the start.
        """
        index = self.kept("edge_index")
        if index is None:
            return None
        weight = self._given_weight(index)
        digest = hashlib.sha256(index.numpy().tobytes())
        digest.update(weight.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _given_weight(self, index: Tensor) -> Tensor:
        """The float32 weights ``(E,)`` of edges ``(2, E)``, as the graph had them."""
        given, weight = self._given
        known, wanted = (e[1] * self.out_features + e[0] for e in (given, index))  # sorted
        place = torch.searchsorted(known, wanted).clamp(max=max(len(known) - 1, 0))
        if len(wanted) and (not len(known) or not torch.equal(known[place], wanted)):
            own = self.kept("edge_weight")  # edges of one's own
            return self.edge_weight.detach().cpu().float() if own is None else own.float()
        return weight[place]

    def attention(self) -> tuple[Tensor, Tensor] | None:
        """Returns ``(edge_index, weights)`` of the last attention layer, or ``None``.

        ``edge_index`` is int64 ``(2, E')`` (with self-loops if the layer adds them) and ``weights``
        ``(E', H)``, summing to 1 over the in-edges of each label. ``None`` where there is no
        attention over edges, or where it depends on the image.
        """
        return None

    def without_edges(self) -> Self:
        """Returns a copy with all learned weights and no edges: shows what the edges do.

        Self-loops that a layer adds by itself stay, and so does whatever a label does alone.
        """
        alone = copy.deepcopy(self)
        with torch.no_grad():
            alone.drop_edges()
        return alone

    def with_edges(self, keep: Tensor) -> Self:
        """Returns a copy with all learned weights and some of the edges: shows what one edge does.

        What attention the others got is shared among those that stay.

        Args:
            keep: bool ``(E,)``, which columns of ``edge_index`` stay.

        Raises:
            InputError: If ``keep`` is not one truth value per edge.
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
        """Removes all other edges in place; a head that keeps more per edge extends it."""
        self.edge_weight = self.edge_weight[keep]
        self.edge_index = self.edge_index[:, keep]
