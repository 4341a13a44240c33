"""CNN-RNN: an LSTM over the labels predicted so far, combined with image features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.heads.base import given_labels
from gatlabel.nn.heads.sequence import MOST_WIDTH, SequenceHead
from gatlabel.signatures import Range
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class RNNHead(SequenceHead):
    r"""An LSTM over label embeddings, in a joint space with the image (CNN-RNN).

    .. math::
        o_t = \operatorname{LSTM}(u_{y_{t-1}}), \quad x_t = \operatorname{ReLU}(W_o o_t + W_I f),
        \quad z_{tk} = u_k \cdot x_t + b_k

    with the pooled features f and one embedding :math:`u_k` per label, which is both input and
    classifier (Wang et al., *CNN-RNN*, CVPR 2016, arXiv:1604.04573, equations 3 to 5). Unlike in
    the paper, the initial state of the LSTM is also computed from the image. The end token has an
    embedding too, which is the input of the first step.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        length: S, the maximum length of a sequence.
        hidden: Width of embeddings and state.
        beam: Number of sequences that the search keeps in each step; 1 is greedy decoding.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, or a number is out of
            range.

    Shapes:
        features ``(B, D)`` -> ``(B, S, L + 2)``; see :class:`SequenceHead`.
    """

    kind = "rnn"

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        length: int = 8,
        hidden: Annotated[int, Range(1, 65536)] = 256,
        beam: Annotated[int, Range(1, 64)] = 1,
    ) -> None:
        own = given_labels("RNNHead", labels, graph)
        super().__init__(in_features, own, length=length, beam=beam)
        self.hidden = whole_number(hidden, "hidden", 1, MOST_WIDTH)
        self.embedding = nn.Embedding(self.end + 1, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.start = nn.Linear(in_features, 2 * hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.image = nn.Linear(in_features, hidden)
        self.output = nn.Linear(hidden, hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(self.end + 1))

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Head.config`."""
        return {**super().config, "hidden": self.hidden}

    def label_bias(self) -> None:
        """None: its biases are of steps, not of labels in an image."""

    def context(self, features: Tensor) -> Tensor:
        """Features ``(B, D)``, unchanged."""
        return features

    def step_logits(self, context: Tensor, inputs: Tensor) -> Tensor:
        """See :meth:`SequenceHead.step_logits`."""
        first = self.start(context).tanh()[None]  # (1, B, 2 * hidden)
        hidden, cell = (part.contiguous() for part in first.chunk(2, -1))
        embedded = self.embedding(inputs).to(hidden)
        states, _ = self.lstm(embedded, (hidden, cell))
        joint = (self.output(states) + self.image(context)[:, None]).relu()
        return F.linear(joint, self.embedding.weight.to(joint), self.bias.to(joint))
