"""One of several classes per image."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.losses.classes import UNKNOWN_CLASS, cross_entropy
from gatlabel.metrics.classes import accuracy, macro_recall
from gatlabel.tasks.task import Loss, Task


class MultiClassTask(Task):
    """One of C classes per image.

    Targets are integers ``(B,)`` from 0 to C - 1, and -1 for unknown. Outputs are logits
    ``(B, C)``. The loss is cross-entropy unless another is given; see :class:`Task` for the
    arguments.

    Example:
        >>> from gatlabel.nn import LinearHead
        >>> task = MultiClassTask("weather", ["sun", "rain"], LinearHead(4, labels=2))
        >>> task.decide(torch.tensor([[0.5, 2.0]])).tolist()
        [1]
    """

    kind = "multiclass"

    def default_loss(self) -> Loss:
        """Cross-entropy."""
        return cross_entropy

    def known(self, targets: Tensor) -> Tensor:
        """Classes other than -1: bool ``(B,)``."""
        return targets != UNKNOWN_CLASS

    def absent(self, rows: int) -> Tensor:
        """-1, int64 ``(rows,)``."""
        return torch.full((rows,), UNKNOWN_CLASS)

    def activation(self, outputs: Tensor) -> Tensor:
        """Probabilities ``(B, C)`` of logits."""
        return outputs.softmax(-1)

    def decide(self, outputs: Tensor) -> Tensor:
        """The most probable class, int64 ``(B,)``."""
        return outputs.argmax(-1)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """``accuracy`` and ``macro_recall``, from 0 to 1."""
        decided = self.decide(outputs)
        return {
            "accuracy": accuracy(decided, targets),
            "macro_recall": macro_recall(decided, targets),
        }

    @property
    def score_name(self) -> str:
        """Macro recall."""
        return "macro_recall"
