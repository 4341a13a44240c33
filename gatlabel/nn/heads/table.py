"""The heads by name."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from gatlabel.nn.heads.base import Head
from gatlabel.nn.heads.conditioned import ConditionedHead
from gatlabel.nn.heads.csra import CSRAHead
from gatlabel.nn.heads.fitted.chain import ChainHead
from gatlabel.nn.heads.fitted.decoded import HMMHead, PairwiseHead
from gatlabel.nn.heads.fitted.forest import ForestHead
from gatlabel.nn.heads.fitted.mlknn import MLkNNHead
from gatlabel.nn.heads.gat import GATHead, GATv2Head
from gatlabel.nn.heads.gcn import GCNHead
from gatlabel.nn.heads.linear import LinearHead
from gatlabel.nn.heads.positions import PositionHead
from gatlabel.nn.heads.pyg import PyGHead
from gatlabel.nn.heads.query import QueryHead
from gatlabel.nn.heads.rnn import RNNHead
from gatlabel.nn.heads.transformer import TransformerHead

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
#: Heads fitted by a classical method, without trainable parameters.
FITTED_HEADS: dict[str, type[Head]] = {
    "forest": ForestHead,
    "mlknn": MLkNNHead,
    "chain": ChainHead,
    "hmm": HMMHead,
    "pairwise": PairwiseHead,
}
#: Heads of ``sequence`` tasks: labels one after another.
SEQUENCE_HEADS: dict[str, type[Head]] = {
    "positions": PositionHead,
    "rnn": RNNHead,
    "transformer": TransformerHead,
}
#: All heads that a saved model may have.
SAVED_HEADS: Mapping[str, type[Head]] = ChainMap(HEADS, FITTED_HEADS)
