"""A transformer decoder over the feature map and the labels predicted so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import MapHead, check_dropout, check_width, given_labels
from gatlabel.nn.heads.sequence import MOST_WIDTH, SequenceHead
from gatlabel.signatures import Range
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

PERIODS = 32.0  # periods of the fastest sine over the map


class TransformerHead(SequenceHead, MapHead):
    """Labels attend to earlier labels and to the positions of the feature map.

    A pre-norm transformer decoder (Vaswani et al., 2017, arXiv:1706.03762) over label embeddings,
    with learned embeddings of steps. Positions have sinusoidal encodings, so the order of labels
    may depend on the positions of objects.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        length: S, the maximum length of a sequence.
        hidden: Width of the decoder, a multiple of 4 and of ``heads``.
        heads: Number of attention heads.
        layers: Number of decoder layers.
        dropout: Probability of dropping a value in training.
        beam: Number of sequences that the search keeps in each step; 1 is greedy decoding.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, or a number is out of
            range.

    Shapes:
        features ``(B, D, h, w)`` -> ``(B, S, L + 2)``; see :class:`SequenceHead`.
    """

    kind = "transformer"

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        length: int = 8,
        hidden: Annotated[int, Range(4, 65536)] = 256,
        heads: Annotated[int, Range(1, 65536)] = 8,
        layers: Annotated[int, Range(1, 1000)] = 1,
        dropout: Annotated[float, Range(0, below=1)] = 0.1,
        beam: Annotated[int, Range(1, 64)] = 1,
    ) -> None:
        for name, value in (("hidden", hidden), ("heads", heads), ("layers", layers)):
            whole_number(value, name, 1, MOST_WIDTH)
        check_width(hidden, heads)
        check_dropout(dropout)
        if hidden % 4:
            raise InputError(f"hidden={hidden}: make it a multiple of 4")
        own = given_labels("TransformerHead", labels, graph)
        super().__init__(in_features, own, length=length, beam=beam)
        self.options = {"hidden": hidden, "heads": heads, "layers": layers, "dropout": dropout}
        self.hidden = hidden
        self.embedding = nn.Embedding(self.end + 1, hidden)
        self.steps = nn.Parameter(torch.randn(self.length, hidden))
        self.embed = nn.Linear(in_features, hidden)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                hidden, heads, 4 * hidden, dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.score = nn.Linear(hidden, self.end + 1)

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Head.config`."""
        return {**super().config, **self.options}

    def context(self, features: Tensor) -> Tensor:
        """Map ``(B, D, h, w)`` -> positions ``(B, h * w, hidden)`` with their coordinates."""
        found: Tensor = self.embed(self.positions(features))
        height, width = features.shape[2:]
        return found + _coordinates(height, width, self.hidden).to(found)

    def step_logits(self, context: Tensor, inputs: Tensor) -> Tensor:
        """See :meth:`SequenceHead.step_logits`."""
        count = inputs.shape[1]
        found = self.embedding(inputs) + self.steps[:count]
        later = torch.ones(count, count, dtype=torch.bool, device=inputs.device).triu(1)
        for layer in self.layers:
            found = layer(found, context, tgt_mask=later)
        logits: Tensor = self.score(self.norm(found))
        return logits


def _coordinates(height: int, width: int, features: int) -> Tensor:
    """Sines and cosines of relative coordinates ``(height * width, features)``."""
    count = features // 4
    rates = math.pi * PERIODS ** torch.linspace(0, 1, count)
    parts = []
    for size in (height, width):
        places = (torch.arange(size) + 0.5) / size
        angles = places[:, None] * rates
        parts.append(torch.cat([angles.sin(), angles.cos()], 1))  # (size, features / 2)
    rows = parts[0][:, None].expand(-1, width, -1)
    columns = parts[1][None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)
