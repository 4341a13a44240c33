"""The heads by name."""

from gatlabel.nn.heads.base import GraphHead, Head, StaticHead
from gatlabel.nn.heads.gat import GATHead, GATv2Head
from gatlabel.nn.heads.gcn import GCNHead
from gatlabel.nn.heads.linear import LinearHead

HEADS: dict[str, type[Head]] = {
    "linear": LinearHead,
    "gcn": GCNHead,
    "gat": GATHead,
    "gatv2": GATv2Head,
}

__all__ = [
    "HEADS",
    "GATHead",
    "GATv2Head",
    "GCNHead",
    "GraphHead",
    "Head",
    "LinearHead",
    "StaticHead",
]
