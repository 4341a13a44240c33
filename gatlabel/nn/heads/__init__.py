"""Heads, which map features to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.nn.heads.base import Head, MapHead
    from gatlabel.nn.heads.conditioned import ConditionedHead
    from gatlabel.nn.heads.csra import CSRAHead
    from gatlabel.nn.heads.edges import EdgeHead
    from gatlabel.nn.heads.fitted.base import FittedHead
    from gatlabel.nn.heads.gat import GATHead, GATv2Head
    from gatlabel.nn.heads.gcn import GCNHead
    from gatlabel.nn.heads.linear import LinearHead
    from gatlabel.nn.heads.positions import PositionHead
    from gatlabel.nn.heads.protocols import AuxiliaryLosses, Foldable, GraphAblatable, LinearInit
    from gatlabel.nn.heads.pyg import PyGHead
    from gatlabel.nn.heads.query import QueryHead
    from gatlabel.nn.heads.rnn import RNNHead
    from gatlabel.nn.heads.sequence import SequenceHead
    from gatlabel.nn.heads.table import FITTED_HEADS, HEADS, SAVED_HEADS, SEQUENCE_HEADS
    from gatlabel.nn.heads.transformer import TransformerHead
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "FITTED_HEADS",
    "HEADS",
    "SAVED_HEADS",
    "SEQUENCE_HEADS",
    "AuxiliaryLosses",
    "CSRAHead",
    "ConditionedHead",
    "EdgeHead",
    "FittedHead",
    "Foldable",
    "GATHead",
    "GATv2Head",
    "GCNHead",
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
