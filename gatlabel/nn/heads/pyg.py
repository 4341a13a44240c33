"""The residual graph head with any PyG convolution in place of attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.nn.heads.pyg_convolution import Convolution
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class PyGHead(SharedClassifierHead):
    r"""The residual form of :class:`GATHead` with any convolution of PyG.

    ``W = W0 + Z O_self + conv(Z, edges) O_edge`` with ``Z = W0 V``. The edge term of a label
    without in-edges is zero for every convolution. ``O_self`` and ``O_edge`` are initialised with
    zeros, so the untrained head is a linear classifier. It folds into one as the other static
    heads do. Edge weights are passed to the convolution as ``edge_weight`` or as ``edge_attr`` of
    width 1, if it accepts either (see ``head.convolution.edges_as``).

    Args:
        in_features: Feature width D.
        graph: The label graph.
        conv: Name of a class of ``torch_geometric.nn.conv`` (TransformerConv, SAGEConv, GATv2Conv,
            GINConv, …), or a class with the same ``forward(x, edge_index, …)``.
        conv_options: Options of that class, as JSON values. Self-loops and root weights are off
            unless they are given.
        hidden: Width of ``Z``, and of the convolution's output unless ``conv_options`` set
            ``out_channels``.
        bias: Whether labels have a learned bias.
        similarity_weight: Weight of similar labels in a classifier, as in :class:`GATHead`.

    Raises:
        InputError: If the convolution is unknown, its options are wrong, or it cannot run on
            (x, edge_index) of this graph.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "pyg"
    has_neighbours: Tensor

    def __init__(
        self,
        in_features: int,
        graph: LabelGraph,
        conv: str | type[nn.Module] = "TransformerConv",
        conv_options: Mapping[str, Any] | None = None,
        hidden: int = 256,
        bias: bool = True,
        similarity_weight: float | None = None,
    ) -> None:
        super().__init__(in_features, graph)
        if hidden < 1:
            raise InputError(f"hidden={hidden}: must be at least 1")
        self.hidden = hidden
        self.drop_self_loops()  # the label itself has a separate term
        own = nn.Linear(
            in_features, self.out_features, bias=bias
        )  # the initialisation of nn.Linear
        self.weight, self.bias = own.weight, own.bias  # W0
        self.project = nn.Linear(in_features, hidden, bias=False)  # V
        self.convolution = Convolution(conv, hidden, conv_options or {})
        width = self.convolution.out_width(
            self.edge_index, self.edge_weight, self.out_features, hidden
        )
        has_neighbours = self.edge_weight.new_zeros(self.out_features, 1)
        has_neighbours = has_neighbours.index_fill(0, self.edge_index[1], 1.0)
        self.constant("has_neighbours", has_neighbours)
        self.out_self = nn.Parameter(torch.zeros(hidden, in_features))
        self.out_edge = nn.Parameter(torch.zeros(width, in_features))
        self._share(similarity_weight, graph)
        self._freeze_unused()

    @property
    def config(self) -> dict[str, Any]:
        """The options that create a head of the same shape."""
        return {
            **super().config,
            "conv": self.convolution.name,
            "conv_options": self.convolution.options,
            "hidden": self.hidden,
            "bias": self.bias is not None,
        }

    def residual_parameters(self) -> list[nn.Parameter]:
        """``O_self`` and ``O_edge``: the deviation from the linear classifier."""
        return [self.out_self, self.out_edge]

    def linear_weight(self) -> Tensor:
        """Returns ``W0 (L, D)``."""
        return self.weight

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges, and the edge term of labels left without in-edges."""
        super().keep_edges(keep)
        self.has_neighbours = torch.zeros_like(self.has_neighbours).index_fill(
            0, self.edge_index[1], 1.0
        )
        self._freeze_unused()

    def _freeze_unused(self) -> None:
        """Freezes the edge term if there are no edges, as it is then not computed."""
        if not self.edge_index.shape[1]:
            self.convolution.requires_grad_(False)
            self.out_edge.requires_grad_(False)

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Returns weight ``(L, D)`` and bias ``(L,)``."""
        z = self.project(self.weight)  # (L, hidden)
        weight = self._mixed(self.weight) + z @ self.out_self
        if self.edge_index.shape[1]:  # some convolutions cannot run without edges
            gathered = self.convolution(z, self.edge_index, self.edge_weight) * self.has_neighbours
            weight = weight + gathered @ self.out_edge
        return weight, weight.new_zeros(len(weight)) if self.bias is None else self.bias
