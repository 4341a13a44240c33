"""What every treatment of unknown targets is to the training loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.labels import UNKNOWN
from gatlabel.targets import Targets


class Completion:
    """Targets to train on, which may change during training; known entries never do.

    Args:
        targets: ``(N, L)`` of the N training images; see :class:`~gatlabel.targets.Targets`.
        graph: The label graph over the L labels, or none.

    Attributes:
        known: bool ``(N, L)``: which targets are known from the start.
        targets: float32 ``(N, L)``, on the CPU: what to train on now; -1 is left out of the loss.

    Raises:
        InputError: If the targets do not follow the convention or do not fit the graph.
    """

    def __init__(self, targets: Targets | Tensor, graph: LabelGraph | None = None) -> None:
        given = Targets.of(targets).to_dense().clone()
        if graph is not None and len(graph.names) != given.shape[1]:
            raise InputError(
                f"the label graph has {len(graph.names)} labels, the targets {given.shape[1]}: "
                "they must be the same, in the same order"
            )
        self.known = given != UNKNOWN
        self.targets = given

    def mixing_matrix(self) -> Tensor | None:
        """Returns the prior that the classifiers should have from which beliefs come.

        float64 ``(L, L)`` where the graph says that labels are alike
        (:meth:`LinearInit.mixing_matrix`), else ``None``.
        """
        return None

    def update(self, logits: Tensor, progress: float) -> None:
        """Takes what the model says now; called after an epoch, or every few steps.

        Args:
            logits: ``(N, L)`` of all training images; NaN where an image was not seen.
            progress: Share of training that is done, 0 to 1.

        Raises:
            InputError: If the logits are not ``(N, L)``.
        """
        if logits.shape != self.targets.shape:
            raise InputError(
                f"logits have shape {tuple(logits.shape)}, the targets "
                f"{tuple(self.targets.shape)}: one row for every training image"
            )

    def beliefs(self, logits: Tensor) -> Tensor:
        """Returns what is believed of every entry, whether or not it is trained on.

        Args:
            logits: As :meth:`update` takes them.

        Returns:
            float32 ``(N, L)`` in [0, 1]; known entries as they are, -1 where nothing is believed.
        """
        return self.targets

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint must hold to go on alike: tensors only."""
        return {"targets": self.targets.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up the state of a checkpoint.

        Raises:
            InputError: If it belongs to other targets.
        """
        saved: Tensor = state["targets"]
        same = saved.shape == self.targets.shape
        if not same or not torch.equal(saved[self.known], self.targets[self.known]):
            raise InputError(
                "the checkpoint completes other targets than these: the data or the hidden "
                "labels have changed since the run began; train anew"
            )
        self.targets = saved.clone()


def label_rates(targets: Tensor, known: Tensor, weight: float = 1.0) -> Tensor:
    """Estimates how frequent each label is among its known entries.

    The estimate is drawn to the rate over all labels as if ``weight`` more entries were known,
    so that a label with no known entry has that rate and none has 0 or 1.

    Args:
        targets: ``(N, L)``.
        known: bool ``(N, L)``.
        weight: See above.

    Returns:
        ``(L,)``, in [0, 1]; 0 or 1 only where all known entries of all labels are.
    """
    present = torch.where(known, targets, 0.0).sum(0)
    count = known.sum(0)
    overall = present.sum() / count.sum().clamp(min=1)
    return (present + weight * overall) / (count + weight)
