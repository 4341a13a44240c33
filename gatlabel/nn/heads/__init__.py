"""The heads by name."""

from gatlabel.nn.heads.base import GraphHead, Head, MapHead, StaticHead, TakesGraph
from gatlabel.nn.heads.conditioned import ConditionedHead
from gatlabel.nn.heads.gat import GATHead, GATv2Head
from gatlabel.nn.heads.gcn import GCNHead
from gatlabel.nn.heads.linear import LinearHead

HEADS: dict[str, type[Head]] = {
    "linear": LinearHead,
    "gcn": GCNHead,
    "gat": GATHead,
    "gatv2": GATv2Head,
    "conditioned": ConditionedHead,
}

__all__ = [
    "HEADS",
    "ConditionedHead",
    "GATHead",
    "GATv2Head",
    "GCNHead",
    "GraphHead",
    "Head",
    "LinearHead",
    "MapHead",
    "StaticHead",
    "TakesGraph",
]
