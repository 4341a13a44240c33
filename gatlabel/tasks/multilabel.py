"""Any number of labels per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatlabel.decisions.decision import Decision
from gatlabel.decisions.wording import rule
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet, first_difference
from gatlabel.losses import BCELoss
from gatlabel.metrics import MetricsReport, evaluate_scores, harden, mean_average_precision
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
        decision: From logits to label sets; default: present from a probability of 0.5.

    Raises:
        InputError: If labels, head, graph and decision do not fit together.

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
        decision: Decision | None = None,
    ) -> None:
        self.labels = labels if isinstance(labels, LabelSet) else LabelSet(labels)
        own = getattr(head, "labels", None)
        for what, names in (
            ("head", own),
            ("graph", None if graph is None else graph.labels),
            ("decision", None if decision is None else decision.labels),
        ):
            if names is not None and names != self.labels:
                raise InputError(
                    f"the {what} of the task {name!r} has other labels than the task: "
                    f"{first_difference(names.names, self.labels.names)}"
                )
        super().__init__(name, self.labels, head, loss)
        self.graph = graph
        self._decision = decision

    @property
    def decision(self) -> Decision:
        """From logits to label sets."""
        if self._decision is None:  # created on demand, since there may be very many labels
            self._decision = Decision.fixed(self.labels)
        return self._decision

    @decision.setter
    def decision(self, decision: Decision) -> None:
        self._decision = decision

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
        """Probabilities ``(B, L)`` of logits, calibrated if the decision has a calibration."""
        if self._decision is None or not self._decision.scaling:
            return outputs.sigmoid()
        return outputs.new_tensor(self.decision.probabilities(_array(outputs)))

    def decide(self, outputs: Tensor) -> Tensor:
        """1 for the labels that the decision finds present, else 0: ``(B, L)``."""
        present = self.decision.present(_array(outputs))
        return torch.from_numpy(present).to(outputs.device).float()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The metrics of :func:`gatlabel.metrics.evaluate_scores`."""
        return self.report(outputs, targets).metrics

    def report(self, outputs: Tensor, targets: Tensor, split: str = "") -> MetricsReport:
        """Returns the metrics of each label too, and their protocol.

        Args:
            outputs: See :meth:`Task.metrics`.
            targets: Of the same images.
            split: Name of the set of images.
        """
        return evaluate_scores(
            outputs,
            targets,
            self.labels.names,
            decisions=self.decision.present(_array(outputs)),
            decided_by=rule(self.decision, split),
        )

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Mean average precision, uninterpolated; soft targets are present from 0.5."""
        return mean_average_precision(outputs, harden(targets)).value


def _array(outputs: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = outputs.detach().double().cpu().numpy()
    return found
