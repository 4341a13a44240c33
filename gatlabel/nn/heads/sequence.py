"""Autoregressive heads: each label of a sequence depends on the image and on earlier labels."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from gatlabel.labels import LabelSet
from gatlabel.nn.heads.base import Head
from gatlabel.nn.label_sequences import BLOCKED, beam_search, block_used
from gatlabel.values import whole_number

MOST_LENGTH = 2**12
MOST_BEAM = 64
MOST_WIDTH = 2**16


class SequenceHead(Head):
    """Base of the autoregressive heads of a ``sequence`` task.

    Subclasses define :meth:`context` and :meth:`step_logits`; this class implements teacher forcing
    and decoding. No label occurs twice: each step is a distribution over the unused labels and the
    end, so the probabilities of all sequences sum to 1.

    Args:
        in_features: Feature width D.
        labels: The L label names, or their number.
        length: S, the maximum length of a sequence.
        beam: Number of sequences that the search keeps in each step; 1 is greedy decoding.

    Attributes:
        length: S.
        beam: Beam width; may be changed.

    Shapes:
        features -> ``(B, S, L + 2)``: logits of the labels and the end in each step of the decoded
        sequence, and in the last column the number that was decided there, -1 after the end.

    Raises:
        InputError: If a number is out of range.
    """

    def __init__(
        self, in_features: int, labels: int | LabelSet, *, length: int = 8, beam: int = 1
    ) -> None:
        super().__init__(in_features, labels)
        self.length = whole_number(length, "length", 1, MOST_LENGTH)
        self.beam = whole_number(beam, "beam", 1, MOST_BEAM)

    @property
    def end(self) -> int:
        """The number of the end: L."""
        return self.out_features

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Head.config`."""
        return {**super().config, "length": self.length, "beam": self.beam}

    @abstractmethod
    def context(self, features: Tensor) -> Tensor:
        """Returns the representation of the image used in all steps, ``(B, ...)``."""

    @abstractmethod
    def step_logits(self, context: Tensor, inputs: Tensor) -> Tensor:
        """Returns the logits of each step.

        Args:
            context: Of B images.
            inputs: int64 ``(B, T)``: the label of the previous step, or L for none.

        Returns:
            ``(B, T, L + 1)``; the logits of step t depend on the inputs up to t.
        """

    def along(self, context: Tensor, sequence: Tensor) -> Tensor:
        """Returns the logits of each step of given sequences (teacher forcing).

        Args:
            context: Of B images.
            sequence: Integers ``(B, T)``; numbers that are not labels are not used as inputs.

        Returns:
            ``(B, T, L + 1)``, float32 or float64; labels of earlier steps are blocked.
        """
        is_label = (sequence >= 0) & (sequence < self.end)
        before = sequence.where(is_label, self.end)[:, :-1]
        none = before.new_full((before.shape[0], 1), self.end)
        logits = self.step_logits(context, torch.cat([none, before], 1))
        return block_used(logits if logits.dtype == torch.float64 else logits.float(), sequence)

    def forward(self, features: Tensor) -> Tensor:
        """Decodes; see the class."""
        context = self.context(features)
        found = self.search(context, self.beam)
        logits = self.along(context, found)
        return torch.cat([logits, found[..., None].to(logits)], -1)

    def search(
        self, context: Tensor, beam: int, *, without: Tensor | None = None, stop: bool = True
    ) -> Tensor:
        """Returns the decoded sequences, int64 ``(B, S)``, without gradient.

        Args:
            context: Of B images.
            beam: Width of the search.
            without: bool ``(B, L)``: labels to exclude.
            stop: Whether the end may be predicted before all labels.
        """
        if context.shape[0] == 0:
            return torch.zeros(0, self.length, dtype=torch.int64, device=context.device)

        def next_logits(prefixes: Tensor) -> Tensor:
            width = prefixes.shape[1]
            wide = context.repeat_interleave(width, 0)
            logits = self.along(wide, prefixes.flatten(0, 1))[:, -1]
            logits = logits.unflatten(0, (-1, width))
            if without is not None:
                blocked = torch.nn.functional.pad(without, (0, 1))[:, None]
                logits = logits.masked_fill(blocked, BLOCKED)
            if not stop:  # below any label, above those that are blocked
                logits = torch.cat(
                    [logits[..., :-1], torch.full_like(logits[..., :1], BLOCKED / 2)], -1
                )
            return logits

        with torch.no_grad():
            found, _ = beam_search(
                next_logits, context.shape[0], self.length, beam, self.end, context.device
            )
        return found
