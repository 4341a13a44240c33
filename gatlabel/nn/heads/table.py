"""The heads by name."""

from __future__ import annotations

from gatlabel.nn.heads.base import Head
from gatlabel.nn.heads.conditioned import ConditionedHead
from gatlabel.nn.heads.csra import CSRAHead
from gatlabel.nn.heads.gat import GATHead, GATv2Head
from gatlabel.nn.heads.gcn import GCNHead
from gatlabel.nn.heads.linear import LinearHead
from gatlabel.nn.heads.pyg import PyGHead
from gatlabel.nn.heads.query import QueryHead

HEADS: dict[str, type[Head]] = {
    "linear": LinearHead,
    "gcn": GCNHead,
    "gat": GATHead,
    "gatv2": GATv2Head,
    "pyg": PyGHead,
    "csra": CSRAHead,
    "query": QueryHead,
    "conditioned": ConditionedHead,
}
