"""Classifiers shared between similar labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn.constants import HoldsConstants
from gatlabel.nn.heads.edges import EdgeHead
from gatlabel.nn.heads.protocols import Foldable, LinearInit
from gatlabel.nn.kernels import Adjacency, weighted_sum

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

#: Default κ of a head on a graph of similarity.
SIMILARITY_WEIGHT = 0.5
#: Number of known positives that halves a label's κ.
HALF_AT = 3.0


def weights_by_presences(weight: float, presences: Tensor | None) -> float | Tensor:
    """Computes the weight of similar labels for each label: ``κ_i = κ · 3 / (3 + n_i)``.

    Labels with few known images gain from similar labels, labels with many do not. Measured on
    photographs (``benchmarks/studies/shared_classifiers.py``): one κ for all labels gained as much
    on rare labels and cost half a point of average precision on frequent ones.

    Args:
        weight: κ.
        presences: n ``(L,)``, number of images known to show each label; ``None`` gives κ for all.
    """
    return weight if presences is None else weight * HALF_AT / (HALF_AT + presences.double())


class ClassifierMixing(HoldsConstants):
    r"""Contributions of similar labels: ``κ_i Σ_j s_ij V_j``, ``s_ij = w(j→i) / Σ_k w(k→i)``.

    A label without in-edges of positive weight receives none, and no label contributes to itself.

    Args:
        edge_index: int64 ``(2, E)``.
        edge_weight: ``(E,)``; negative weights count as zero.
        labels: Number of labels L.
        strength: κ, at least 0 and below 1: one value for all labels, or ``(L,)``; saved.

    Shapes:
        ``(L, C)`` -> ``(L, C)``.
    """

    strength: Tensor
    shares: Tensor

    def __init__(
        self, edge_index: Tensor, edge_weight: Tensor, labels: int, strength: float | Tensor
    ) -> None:
        super().__init__()
        each = torch.as_tensor(strength, dtype=edge_weight.dtype, device=edge_weight.device)
        self.register_buffer("strength", each.expand(labels).clone())
        others = edge_index[0] != edge_index[1]
        self.adjacency = Adjacency(edge_index[:, others], labels)
        weight = self.adjacency.in_order(edge_weight[others]).clamp(min=0)
        target = self.adjacency.sorted_edges()[1]
        total = weight.new_zeros(labels).index_add(0, target, weight)[target]
        shares = torch.where(total > 0, weight / total.clamp(min=1e-30), 0.0)
        self.constant("shares", shares)  # computed from the edges

    def forward(self, values: Tensor) -> Tensor:
        """Returns the contribution to each label."""
        shares = self.shares.to(values.dtype)[:, None]
        mixed = weighted_sum(self.adjacency, shares, values[None])[0]
        return self.strength.to(values.dtype)[:, None] * mixed

    def matrix(self) -> Tensor:
        """Returns C, float64 ``(L, L)``, which maps classifiers V to ``C V = V + κ s V``."""
        target = self.adjacency.sorted_edges()[1]
        matrix = self.adjacency.matrix(self.strength.double()[target] * self.shares.double())
        matrix.diagonal().add_(1)
        return matrix


class SharedClassifierHead(EdgeHead, Foldable, LinearInit):
    """A foldable head with free classifiers ``W0``, to which similar labels contribute.

    The contribution is a prior and not learned. If the rows of V are independent, similar labels
    have similar classifiers ``C V`` (:class:`ClassifierMixing`), and what one label learns also
    changes the others.

    Attributes:
        mixing: The contributions, or ``None`` if each label has its own classifier.
    """

    mixing: ClassifierMixing | None

    def _share(self, similarity_weight: float | None, graph: LabelGraph) -> None:
        """Applies the option ``similarity_weight``; call it when the edges are final.

        Raises:
            InputError: If it is out of range.
        """
        if similarity_weight is None:
            similarity_weight = SIMILARITY_WEIGHT if graph.relation == "similarity" else 0.0
        if not 0 <= similarity_weight < 1:
            raise InputError(
                f"similarity_weight={similarity_weight}: the weight of similar labels in a "
                "classifier must be at least 0 and below 1"
            )
        self.similarity_weight = float(similarity_weight)
        presences = None
        if graph.label_counts is not None:
            presences = torch.from_numpy(np.asarray(graph.label_counts.present))
        self._set_mixing(weights_by_presences(self.similarity_weight, presences))

    def _set_mixing(self, strength: float | Tensor) -> None:
        self.mixing = None
        if self.similarity_weight and self.edge_index.shape[1]:
            edges = self.edge_index, self.edge_weight
            self.mixing = ClassifierMixing(*edges, self.out_features, strength)

    @property
    def config(self) -> dict[str, Any]:
        """The options that create a head of the same shape."""
        return {**super().config, "similarity_weight": self.similarity_weight}

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges; their weight goes to the remaining similar labels."""
        super().keep_edges(keep)
        if self.mixing is not None:
            self._set_mixing(self.mixing.strength)

    def set_strengths(self, strengths: Tensor) -> None:
        """Sets the weight of similar labels for each label.

        Replaces :func:`weights_by_presences`; call it before a linear initialisation. The weights
        are part of the state.

        Args:
            strengths: ``(L,)``, at least 0 and below 1.

        Raises:
            InputError: If they are out of range, or the head has no mixing.
        """
        in_range = strengths.shape == (self.out_features,) and (
            ((strengths >= 0) & (strengths < 1)).all()
        )
        if not in_range:
            raise InputError(
                f"similarity strengths: expected {self.out_features} values at least 0 and below 1"
            )
        if self.mixing is None:
            raise InputError(
                "this head shares no classifiers and accepts no similarity strengths: give it a "
                'graph with relation="similarity" and edges'
            )
        self._set_mixing(strengths.to(self.edge_weight.dtype))

    def mixing_matrix(self) -> Tensor | None:
        """Returns C ``(L, L)``, or ``None``; see :meth:`LinearInit.mixing_matrix`."""
        return None if self.mixing is None else self.mixing.matrix()

    def _mixed(self, classifiers: Tensor) -> Tensor:
        """Computes ``W0 -> C W0``, ``(L, D)``."""
        return classifiers if self.mixing is None else classifiers + self.mixing(classifiers)
