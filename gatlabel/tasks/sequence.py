"""A sequence of labels per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.losses.classes import UNKNOWN_CLASS, cross_entropy
from gatlabel.tasks.task import Loss, Task
from gatlabel.values import whole_number


class SequenceTask(Task):
    """A sequence of labels per image, each at most once.

    Targets are integers ``(B, S)``: labels from 0 to L - 1, then L for the end if there is room,
    then -1 as padding. Padding, and so an image with nothing but padding, has no loss. Outputs are
    logits ``(B, S, L + 1)``, such as those of :class:`~gatlabel.nn.heads.positions.PositionHead`;
    a head that needs the targets in training has ``forward_losses``.

    Args:
        name: See :class:`Task`.
        labels: The L label names.
        head: From features to outputs.
        loss: Default: cross-entropy of each position up to the end.
        length: S, the maximum length of a sequence; default: that of the head.

    Raises:
        InputError: If the head is for another number of labels or positions.

    Example:
        >>> from gatlabel.nn.heads.positions import PositionHead
        >>> head = PositionHead(4, labels=["cat", "dog"], length=3)
        >>> task = SequenceTask("story", ["cat", "dog"], head)
        >>> task.encode([["dog", "cat"], [], None]).tolist()
        [[1, 0, 2], [2, -1, -1], [-1, -1, -1]]
    """

    kind = "sequence"

    def __init__(
        self,
        name: str,
        labels: Sequence[str],
        head: nn.Module,
        loss: Loss | None = None,
        *,
        length: int | None = None,
    ) -> None:
        self.labels = labels if isinstance(labels, LabelSet) else LabelSet(labels)
        super().__init__(name, self.labels, head, loss)
        own = getattr(head, "length", None)
        if length is None and own is None:
            raise InputError(f"task {name!r}: give length=…, the maximum length of a sequence")
        self.length = whole_number(own if length is None else length, f"task {name!r}: length", 1)
        if own is not None and own != self.length:
            raise InputError(f"task {name!r}: length={length}, but the head has {own} positions")

    @property
    def end(self) -> int:
        """The number of the end of a sequence: L."""
        return len(self.labels)

    def encode(self, sequences: Sequence[Sequence[str] | None]) -> Tensor:
        """Returns the targets ``(B, S)`` of sequences of label names; ``None`` is not labelled.

        Raises:
            InputError: If a name is no label, or a sequence is longer than S.
        """
        targets = self.absent(len(sequences))
        for row, names in enumerate(sequences):
            if names is None:
                continue
            if len(names) > self.length:
                raise InputError(
                    f"task {self.name!r}: a sequence has {len(names)} labels, more than "
                    f"length={self.length}"
                )
            numbers = self.labels.positions(names).tolist()
            numbers += [self.end] * (len(names) < self.length)
            targets[row, : len(numbers)] = torch.tensor(numbers)
        return targets

    def default_loss(self) -> Loss:
        """Cross-entropy of each position up to the end."""
        return cross_entropy

    def known(self, targets: Tensor) -> Tensor:
        """Entries that are not padding: bool ``(B, S)``."""
        return targets != UNKNOWN_CLASS

    def absent(self, rows: int) -> Tensor:
        """Padding, int64 ``(rows, S)``."""
        return torch.full((rows, self.length), UNKNOWN_CLASS)

    def activation(self, outputs: Tensor) -> Tensor:
        """Probabilities ``(B, S, L + 1)`` of each position."""
        return outputs.softmax(-1)

    def decide(self, outputs: Tensor) -> Tensor:
        """The most probable label at each position among those not used at an earlier one.

        Returns:
            int64 ``(B, S)`` in the form of targets.
        """
        free = outputs.new_zeros(outputs.shape[0], self.end + 1)
        done = torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
        decided = torch.full(outputs.shape[:2], UNKNOWN_CLASS, device=outputs.device)
        for position in range(outputs.shape[1]):
            best = (outputs[:, position] + free).argmax(-1)
            decided[:, position] = best.where(~done, UNKNOWN_CLASS)
            done = done | (best == self.end)
            free.scatter_(1, best[:, None], -torch.inf)
            free[:, self.end] = 0.0
        return decided

    def scores(self, outputs: Tensor) -> Tensor:
        """Log-probability ``(B,)`` of the decided sequence of each image."""
        decided = self.decide(outputs)
        each = outputs.log_softmax(-1).gather(-1, decided.clamp(min=0)[..., None])[..., 0]
        return each.where(decided != UNKNOWN_CLASS, 0.0).sum(-1)

    def names(self, sequence: Tensor) -> list[str]:
        """Returns the label names of one decided or known sequence ``(S,)``."""
        return [self.labels[number] for number in sequence.tolist() if 0 <= number < self.end]

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """``exact_match``, and ``set_F1`` whatever the order: means over the labelled images."""
        rows = self.known(targets).any(1)
        decided, true = self.decide(outputs)[rows], targets[rows].to(outputs.device)
        shape = (len(true), self.end + 2)  # the end, and a last column for padding
        ours, theirs = (
            torch.zeros(shape, dtype=torch.bool, device=true.device).scatter_(
                1, each.where(each != UNKNOWN_CLASS, self.end + 1), value=True
            )[:, : self.end]
            for each in (decided, true)
        )
        both, sizes = (ours & theirs).sum(1).double(), (ours.sum(1) + theirs.sum(1)).double()
        f1 = (2 * both / sizes).where(sizes > 0, 1.0)  # both sets are empty
        return {
            "exact_match": float((decided == true).all(1).double().mean()),
            "set_F1": float(f1.mean()),
        }

    @property
    def score_name(self) -> str:
        """F1 of the label sets."""
        return "set_F1"
