"""One of several classes per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatlabel.decisions.classes import ClassDecision
from gatlabel.labels import LabelSet
from gatlabel.losses.classes import UNKNOWN_CLASS, cross_entropy
from gatlabel.metrics.classes import accuracy, log_loss, macro_recall
from gatlabel.tasks.task import Loss, Task


class MultiClassTask(Task):
    """One of C classes per image.

    Targets are integers ``(B,)`` from 0 to C - 1, and -1 for unknown. Outputs are logits
    ``(B, C)``.

    Args:
        name: See :class:`Task`.
        outputs: The C class names.
        head: From features to logits.
        loss: Default: cross-entropy.
        decision: The calibration of the probabilities; default: none.

    Raises:
        InputError: If the head has another number of outputs, or the decision other classes.

    Example:
        >>> from gatlabel.nn import LinearHead
        >>> task = MultiClassTask("weather", ["sun", "rain"], LinearHead(4, labels=2))
        >>> task.decide(torch.tensor([[0.5, 2.0]])).tolist()
        [1]
    """

    kind = "multiclass"

    def __init__(
        self,
        name: str,
        outputs: Sequence[str],
        head: nn.Module,
        loss: Loss | None = None,
        *,
        decision: ClassDecision | None = None,
    ) -> None:
        super().__init__(name, outputs, head, loss)
        if decision is not None:
            self.labels.require_same_names(decision.labels, f"the decision of the task {name!r}")
        self.decision = decision

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        return LabelSet(self.outputs)

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
        """Probabilities ``(B, C)`` of logits, calibrated if there is a decision."""
        if self.decision is None:
            return outputs.softmax(-1)
        return self.decision.probabilities(outputs)

    def decide(self, outputs: Tensor) -> Tensor:
        """The most probable class, int64 ``(B,)``."""
        return outputs.argmax(-1)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """``accuracy`` and ``macro_recall``, from 0 to 1, and ``log_loss`` of the probabilities."""
        decided = self.decide(outputs)
        return {
            "accuracy": accuracy(decided, targets),
            "macro_recall": macro_recall(decided, targets),
            "log_loss": log_loss(self.activation(outputs.double()), targets),
        }

    @property
    def score_name(self) -> str:
        """Macro recall."""
        return "macro_recall"
