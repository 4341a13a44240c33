"""Classifiers of labels that are alike: each holds a share of its kin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn.constants import HoldsConstants
from gatlabel.nn.heads.takes_graph import GraphHead
from gatlabel.nn.kernels import Adjacency, weighted_sum

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

#: Of a head on a graph of kin, unless it is told otherwise.
KINSHIP = 0.5
#: Known presences at which a label takes half as much from its kin.
HALF_AT = 3.0


def kinship_of(kinship: float, presences: Tensor | None) -> float | Tensor:
    """How much each label takes from its kin: ``κ_i = κ · 3 / (3 + n_i)``.

    Labels with few known pictures have much to learn from their kin, those with many nothing.
    Measured on photographs (``benchmarks/kin.py``): the same κ for all won as much on rare labels
    and cost frequent ones half a point of average precision.

    Args:
        kinship: κ.
        presences: n ``(L,)``, pictures known to show each label; if not known, κ is for all.
    """
    return kinship if presences is None else kinship * HALF_AT / (HALF_AT + presences.double())


class Kin(HoldsConstants):
    r"""What the kin of labels lend: ``κ_i Σ_j s_ij V_j`` with ``s_ij = w(j→i) / Σ_k w(k→i)``.

    A label without an in-edge of positive weight is lent nothing, and none lends to itself.

    Args:
        edge_index: int64 ``(2, E)``.
        edge_weight: ``(E,)``; negative weights count as zero.
        labels: Number of labels L.
        kinship: κ, at least 0 and below 1: one for all labels, or ``(L,)``; part of the state.

    Shapes:
        ``(L, C)`` -> ``(L, C)``.
    """

    kinship: Tensor
    shares: Tensor

    def __init__(
        self, edge_index: Tensor, edge_weight: Tensor, labels: int, kinship: float | Tensor
    ) -> None:
        super().__init__()
        each = torch.as_tensor(kinship, dtype=edge_weight.dtype, device=edge_weight.device)
        self.register_buffer("kinship", each.expand(labels).clone())
        others = edge_index[0] != edge_index[1]
        self.adjacency = Adjacency(edge_index[:, others], labels)
        weight = self.adjacency.in_order(edge_weight[others]).clamp(min=0)
        target = self.adjacency.sorted_edges()[1]
        total = weight.new_zeros(labels).index_add(0, target, weight)[target]
        shares = torch.where(total > 0, weight / total.clamp(min=1e-30), 0.0)
        self.constant("shares", shares)  # follows from the edges

    def forward(self, values: Tensor) -> Tensor:
        """Returns what is lent to every label."""
        shares = self.shares.to(values.dtype)[:, None]
        lent = weighted_sum(self.adjacency, shares, values[None])[0]
        return self.kinship.to(values.dtype)[:, None] * lent

    def matrix(self) -> Tensor:
        """Returns C ``(L, L)``, float64: with it, classifiers V become ``C V = V + κ s V``."""
        target = self.adjacency.sorted_edges()[1]
        matrix = self.adjacency.matrix(self.kinship.double()[target] * self.shares.double())
        matrix.diagonal().add_(1)
        return matrix


class SharesWithKin(GraphHead):
    """A static head around free classifiers ``W0``, of which a label's kin lend it a share.

    The share is a prior, not something learned: if V are independent, labels that are kin have
    classifiers ``C V`` that are alike (:class:`Kin`), and what is learned of one moves the other.

    Attributes:
        kin: What lends, or ``None`` where labels are on their own.
    """

    kin: Kin | None

    def _set_kinship(self, kinship: float | None, graph: LabelGraph) -> None:
        """Takes the option; call it when the edges are final.

        Raises:
            InputError: If it is out of range.
        """
        if kinship is None:
            kinship = KINSHIP if graph.relation == "similarity" else 0.0
        if not 0 <= kinship < 1:
            raise InputError(
                f"kinship={kinship}: the share of its kin in a label's classifier is at least 0 "
                "and below 1"
            )
        self.kinship = float(kinship)
        presences = None
        if graph.label_counts is not None:
            presences = torch.from_numpy(np.asarray(graph.label_counts.present))
        self._find_kin(kinship_of(self.kinship, presences))

    def _find_kin(self, kinship: float | Tensor) -> None:
        self.kin = None
        if self.kinship and self.edge_index.shape[1]:
            self.kin = Kin(self.edge_index, self.edge_weight, self.out_features, kinship)

    @property
    def config(self) -> dict[str, Any]:
        """The options that make a head of the same shape."""
        return {**super().config, "kinship": self.kinship}

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges; what a label's kin lent is shared among those that stay."""
        super().keep_edges(keep)
        if self.kin is not None:
            self._find_kin(self.kin.kinship)

    @torch.no_grad()
    def scale_residual(self, factor: float) -> bool:
        """See :meth:`Head.scale_residual`: the residual is linear in ``O_self`` and ``O_edge``."""
        super().scale_residual(factor)
        residual = self.shrunk_parameters()
        for parameter in residual:
            # not a product: what is not finite would stay so
            parameter.copy_(parameter * factor if factor else torch.zeros_like(parameter))
        return bool(residual)

    def set_strengths(self, strengths: Tensor) -> None:
        """Sets how much each label takes from similar ones, in place of ``kinship_of``.

        To be called before a linear start. The strengths are part of the state.

        Args:
            strengths: ``(L,)``, at least 0 and below 1.

        Raises:
            InputError: If they are out of range, or the head shares nothing.
        """
        in_range = strengths.shape == (self.out_features,) and (
            ((strengths >= 0) & (strengths < 1)).all()
        )
        if not in_range:
            raise InputError(
                f"similarity strengths: expected {self.out_features} values at least 0 and below 1"
            )
        if self.kin is None:
            raise InputError(
                "this head shares no classifiers, so it takes no similarity strengths: give it a "
                'graph with relation="similarity" and edges'
            )
        self._find_kin(strengths.to(self.edge_weight.dtype))

    def sharing(self) -> Tensor | None:
        """C ``(L, L)``, or ``None``; see :meth:`Head.sharing`."""
        return None if self.kin is None else self.kin.matrix()

    def _with_kin(self, classifiers: Tensor) -> Tensor:
        """``W0 -> C W0``, ``(L, D)``."""
        return classifiers if self.kin is None else classifiers + self.kin(classifiers)
