"""A head whose logits are those of some labels of a larger graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gatlabel.labels import LabelSet
from gatlabel.nn.heads.base import Head
from gatlabel.nn.identity import Identity


class RowsHead(Head):
    """Takes the logits of all U labels of a graph, and returns those of its own L labels.

    The classifiers are in the head over the graph (``gatlabel.model.SharedGraph``), of
    which each task has its rows. This head has no parameters.

    Args:
        whole: The U names of the labels of the graph.
        labels: The L own names, in the order of the logits; each is one of ``whole``.

    Raises:
        InputError: If a label is not in the graph.

    Shapes:
        logits ``(..., U)`` -> logits ``(..., L)``.

    Example:
        >>> head = RowsHead(["cat", "dog", "rain"], ["rain", "cat"])
        >>> head(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
        [[3.0, 1.0]]
    """

    kind = "rows"
    rows: Tensor

    def __init__(self, whole: Sequence[str], labels: Sequence[str]) -> None:
        own = labels if isinstance(labels, LabelSet) else LabelSet(labels)
        every = whole if isinstance(whole, LabelSet) else LabelSet(whole)
        super().__init__(len(every), own)
        self.whole = every
        rows = torch.as_tensor(every.positions(own.names))
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(..., U)`` -> logits ``(..., L)``."""
        return features.index_select(-1, self.rows)

    def identity(self) -> Identity:
        """See :meth:`Head.identity`."""
        return {**super().identity(), "whole": list(self.whole)}
