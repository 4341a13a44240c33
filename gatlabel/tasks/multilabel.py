"""Any number of labels per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet, first_difference
from gatlabel.losses import BCELoss
from gatlabel.metrics import evaluate_scores, mean_average_precision
from gatlabel.tasks.task import Loss, Task

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class MultiLabelTask(Task):
    """Any number of L labels per image.

    Targets are float ``(B, L)`` from 0 to 1, and -1 for unknown. Outputs are logits ``(B, L)``.

    Args:
        name: See :class:`Task`.
        labels: The L label names, in the order of the logits.
        head: From features to logits.
        loss: Default: :class:`~gatlabel.losses.BCELoss`.
        graph: The label graph of the head, if it has one; saved with the model.
        thresholds: Probability from which a label is decided to be present: a number, or ``(L,)``.

    Raises:
        InputError: If labels, head and graph do not fit together.

    Example:
        >>> from gatlabel.nn import LinearHead
        >>> task = MultiLabelTask("things", ["cat", "dog"], LinearHead(4, labels=["cat", "dog"]))
        >>> task.decide(torch.tensor([[2.0, -1.0]]))
        tensor([[1., 0.]])
    """

    kind = "multilabel"

    def __init__(
        self,
        name: str,
        labels: Sequence[str],
        head: nn.Module,
        loss: Loss | None = None,
        *,
        graph: LabelGraph | None = None,
        thresholds: float | Tensor = 0.5,
    ) -> None:
        self.labels = labels if isinstance(labels, LabelSet) else LabelSet(labels)
        own = getattr(head, "labels", None)
        for what, names in (("head", own), ("graph", None if graph is None else graph.labels)):
            if names is not None and names != self.labels:
                raise InputError(
                    f"the {what} of the task {name!r} has other labels than the task: "
                    f"{first_difference(names.names, self.labels.names)}"
                )
        super().__init__(name, self.labels, head, loss)
        self.graph = graph
        self.thresholds = thresholds

    def default_loss(self) -> Loss:
        """Binary cross-entropy."""
        return BCELoss()

    def known(self, targets: Tensor) -> Tensor:
        """Entries other than -1: bool ``(B, L)``."""
        return targets != UNKNOWN

    def absent(self, rows: int) -> Tensor:
        """-1, float32 ``(rows, L)``."""
        return torch.full((rows, self.width), float(UNKNOWN))

    def activation(self, outputs: Tensor) -> Tensor:
        """Probabilities ``(B, L)`` of logits."""
        return outputs.sigmoid()

    def decide(self, outputs: Tensor) -> Tensor:
        """1 for the labels whose probability reaches the threshold, else 0: ``(B, L)``."""
        thresholds = torch.as_tensor(self.thresholds, device=outputs.device)
        return (self.activation(outputs) >= thresholds).float()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The metrics of :func:`gatlabel.metrics.evaluate_scores`."""
        found = evaluate_scores(outputs, targets, self.labels.names, threshold=self.thresholds)
        return found.metrics

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Mean average precision, uninterpolated."""
        return mean_average_precision(outputs, targets).value
