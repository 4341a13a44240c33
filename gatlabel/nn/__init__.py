"""Graph-attention layers and heads that compute classifiers from label embeddings.

A head replaces the final ``nn.Linear`` of any network. The example builds a label graph from the
targets of three images, creates a graph-attention head and, after training, folds it into a linear
layer with the same logits:

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

Importing this module loads no package heavier than torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.nn.heads import (
        HEADS,
        SEQUENCE_HEADS,
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
        PositionHead,
        PyGHead,
        QueryHead,
        RNNHead,
        SequenceHead,
        TransformerHead,
    )
    from gatlabel.nn.layers import GATLayer, GATv2Layer, GCNLayer
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "HEADS",
    "SEQUENCE_HEADS",
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
    "PositionHead",
    "PyGHead",
    "QueryHead",
    "RNNHead",
    "SequenceHead",
    "TransformerHead",
]
