"""Graph-attention layers and heads: the label embeddings *are* the classifiers.

Any network that ends in ``nn.Linear`` takes a head in its place. The example builds a label graph
from three images' targets, puts a graph-attention head where a linear layer stood, and folds it
into a linear layer again once it is trained:

    >>> import torch
    >>> from gatlabel.graph import Cooccurrence
    >>> from gatlabel.nn import GATHead
    >>> targets = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    >>> graph = Cooccurrence.from_targets(targets, ["fork", "table", "chair"]).graph()
    >>> head = GATHead(in_features=64, graph=graph, hidden=32, heads=4)
    >>> head(torch.randn(8, 64)).shape
    torch.Size([8, 3])
    >>> type(head.fold())
    <class 'torch.nn.modules.linear.Linear'>

Importing this module loads torch and nothing heavier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.nn.heads import (
        HEADS,
        AuxiliaryLosses,
        ConditionedHead,
        CSRAHead,
        EdgeHead,
        Foldable,
        GATHead,
        GATv2Head,
        GCNHead,
        GraphAblatable,
        Head,
        LinearHead,
        LinearInit,
        MapHead,
        PyGHead,
        QueryHead,
    )
    from gatlabel.nn.layers import GATLayer, GATv2Layer, GCNLayer
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "HEADS",
    "AuxiliaryLosses",
    "CSRAHead",
    "ConditionedHead",
    "EdgeHead",
    "Foldable",
    "GATHead",
    "GATLayer",
    "GATv2Head",
    "GATv2Layer",
    "GCNHead",
    "GCNLayer",
    "GraphAblatable",
    "Head",
    "LinearHead",
    "LinearInit",
    "MapHead",
    "PyGHead",
    "QueryHead",
]
