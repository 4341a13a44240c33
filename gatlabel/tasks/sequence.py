"""A sequence of labels per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.losses.classes import UNKNOWN_CLASS
from gatlabel.losses.sequences import SequenceLoss, unknown_labels
from gatlabel.metrics.ranking import mean_average_precision
from gatlabel.metrics.sequences import sequence_metrics
from gatlabel.nn.heads.sequence import SequenceHead
from gatlabel.tasks.task import Loss, Task
from gatlabel.values import whole_number


class SequenceTask(Task):
    """A sequence of labels per image, each at most once.

    Targets are integers ``(B, S)``: labels from 0 to L - 1, then L for the end if there is room,
    then -1 as padding. Padding, and so an image with only padding, has no loss. If labels may be
    unknown (``partly_known``), there are L additional columns: -2 - k marks label k as unknown (-1
    is padding). Unknown labels are excluded from targets, gradients and metrics.

    Outputs are logits ``(B, S, L + 1)``, as of :class:`~gatlabel.nn.heads.positions.PositionHead`,
    or those of a :class:`~gatlabel.nn.heads.sequence.SequenceHead`. In training, such a head gets
    the earlier true labels (teacher forcing) or, if the loss aligns, its own predictions.

    Args:
        name: See :class:`Task`.
        labels: The L label names.
        head: From features to outputs.
        loss: Default: :class:`~gatlabel.losses.SequenceLoss` in the order of the targets.
        length: S, the maximum length of a sequence; default: that of the head.
        partly_known: Whether targets have L more columns, for labels that are unknown.

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
        partly_known: bool = False,
    ) -> None:
        self.labels = labels if isinstance(labels, LabelSet) else LabelSet(labels)
        super().__init__(name, self.labels, head, loss)
        own = getattr(head, "length", None)
        if length is None and own is None:
            raise InputError(f"task {name!r}: give length=…, the maximum length of a sequence")
        self.length = whole_number(own if length is None else length, f"task {name!r}: length", 1)
        self.partly_known = partly_known
        if own is not None and own != self.length:
            raise InputError(f"task {name!r}: length={length}, but the head has {own} positions")

    @property
    def end(self) -> int:
        """The number of the end of a sequence: L."""
        return len(self.labels)

    def encode(self, sequences: Sequence[Sequence[str] | None]) -> Tensor:
        """Returns the targets of sequences of label names; ``None`` is not labelled.

        Raises:
            InputError: If a name is not a label, or a sequence is longer than S.
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
        """Cross-entropy of each step up to the end."""
        return SequenceLoss()

    def known(self, targets: Tensor) -> Tensor:
        """Entries that are labels or the end: bool, of the targets' shape."""
        return targets > UNKNOWN_CLASS

    def absent(self, rows: int) -> Tensor:
        """Padding, int64 ``(rows, S)``, or ``(rows, S + L)`` if labels may be unknown."""
        width = self.length + self.end * self.partly_known
        return torch.full((rows, width), UNKNOWN_CLASS)

    @property
    def config(self) -> dict[str, Any]:
        """See :attr:`Task.config`."""
        return {**super().config, "partly_known": self.partly_known}

    def losses(
        self, features: Tensor, targets: Tensor, epoch: int = 0
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`Task.losses`; an autoregressive head gets true or predicted labels."""
        if not isinstance(self.head, SequenceHead):
            return super().losses(features, targets, epoch)
        context, loss = self.head.context(features), self.criterion(epoch)
        if not isinstance(self.loss, SequenceLoss) or self.loss.alignment is None:
            outputs = self.head.along(context, targets[:, : self.length])
            return outputs, (loss(outputs, targets),)
        without = unknown_labels(targets, self.end)
        path = self.head.search(context, 1, without=without, stop=False)
        outputs = self.head.along(context, path)
        return outputs, (self.loss(outputs, targets, predicted=path),)

    def loss_of(self, outputs: Tensor, targets: Tensor, epoch: int = 0) -> Tensor:
        """Returns the loss of outputs; for decoded outputs, true labels are aligned optimally."""
        if not self._are_decoded(outputs):
            return super().loss_of(outputs, targets, epoch)
        return SequenceLoss("minimal")(self._logits(outputs), targets)

    def _are_decoded(self, outputs: Tensor) -> bool:
        return outputs.shape[-1] == self.end + 2

    def _logits(self, outputs: Tensor) -> Tensor:
        return outputs[..., : self.end + 1]

    def activation(self, outputs: Tensor) -> Tensor:
        """Probabilities ``(B, S, L + 1)`` of each step."""
        return self._logits(outputs).softmax(-1)

    def decide(self, outputs: Tensor) -> Tensor:
        """The decoded sequences, or at each position the most probable label not yet used.

        Returns:
            int64 ``(B, S)`` in the form of targets.
        """
        if self._are_decoded(outputs):
            return outputs[..., -1].long()
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
        log_p = self._logits(outputs).log_softmax(-1)
        each = log_p.gather(-1, decided.clamp(min=0)[..., None])[..., 0]
        return each.where(decided != UNKNOWN_CLASS, 0.0).sum(-1)

    def occurrence(self, outputs: Tensor) -> Tensor:
        r"""Probability of each label to occur in a step of the decided sequence: ``(B, L)``.

        :math:`1 - \prod_t (1 - p_t)` over the steps up to the end.
        """
        inside = self.decide(outputs) != UNKNOWN_CLASS
        each = self.activation(outputs)[..., : self.end].double() * inside[..., None]
        return 1 - (1 - each).prod(1)

    def names(self, sequence: Tensor) -> list[str]:
        """Returns the label names of one decided or known sequence ``(S,)``."""
        return [self.labels[number] for number in sequence.tolist() if 0 <= number < self.end]

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Means over the labelled images; see :func:`gatlabel.metrics.sequence_metrics`.

        ``mAP`` is that of :meth:`occurrence`.
        """
        rows = self.known(targets).any(1)
        decided, true = self.decide(outputs)[rows], targets[rows].to(outputs.device)
        unknown = unknown_labels(true, self.end)
        found = sequence_metrics(decided, true, self.end, unknown)
        present = torch.zeros_like(unknown, dtype=torch.float32)
        present = torch.nn.functional.pad(present, (0, 1))
        is_label = (true >= 0) & (true < self.end)
        present.scatter_(1, true.where(is_label, self.end), 1.0)
        labels = present[:, : self.end].masked_fill(unknown, UNKNOWN)
        mean = mean_average_precision(self.occurrence(outputs)[rows], labels).value
        return {**found, "mAP": mean}

    @property
    def score_name(self) -> str:
        """F1 of the label sets."""
        return "set_F1"
