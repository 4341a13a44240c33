"""Heads fitted by a classical method: stored arrays, evaluated without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.nn.heads.fitted.chain import ChainHead
    from gatlabel.nn.heads.fitted.decoded import HMMHead, PairwiseHead
    from gatlabel.nn.heads.fitted.forest import ForestHead
    from gatlabel.nn.heads.fitted.mlknn import MLkNNHead
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["ChainHead", "ForestHead", "HMMHead", "MLkNNHead", "PairwiseHead"]
