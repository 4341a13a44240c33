"""Label vectors as input of a graph head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class NodeFeatures(nn.Module):
    """Stores the node features ``(L, F)``: fixed ones as a buffer, learned ones as a parameter.

    Args:
        node_features: See :func:`gatlabel.graph.node_features.resolve`.
        graph: The label graph whose labels the vectors are for.
    """

    vectors: Tensor

    def __init__(
        self, node_features: str | Path | Tensor | Mapping[str, Any], graph: LabelGraph
    ) -> None:
        super().__init__()
        from gatlabel.graph.node_features import resolve  # scipy and files only when needed

        vectors, self.trainable = resolve(node_features, graph)
        vectors = vectors.to(torch.get_default_dtype()).clone()
        if self.trainable:
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)

    @property
    def width(self) -> int:
        """The width F of the vectors."""
        return self.vectors.shape[1]

    @property
    def config(self) -> dict[str, Any]:
        """Options for an object of the same shape; the vectors themselves are in the state."""
        return {"node_features": {"width": self.width, "trainable": self.trainable}}

    def forward(self) -> Tensor:
        """Returns the vectors ``(L, F)``."""
        return self.vectors
