"""The interface between treatments of unknown targets and the training loop."""

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
        targets: float32 ``(N, L)``, on the CPU: what to train on now; -1 is excluded from the loss.

    Raises:
        InputError: If the targets do not follow the convention or do not match the graph.
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

    def observed_targets(self) -> Tensor:
        """Returns the targets that tests and choices may count as evidence.

        Known entries, and unknown ones that are assumed to be absent. Frequencies and estimates
        that replace unknown entries are not evidence: they say nothing about an image, or what the
        label graph already said. Such entries are -1.

        Returns:
            float32 ``(N, L)``.
        """
        return torch.where(self.known, self.targets, UNKNOWN)

    def mixing_matrix(self) -> Tensor | None:
        """Returns the prior covariance factor for classifiers that provide the estimates.

        float64 ``(L, L)`` on a graph of similarity (:meth:`LinearInit.mixing_matrix`), otherwise
        ``None``.
        """
        return None

    def update(self, logits: Tensor, progress: float) -> None:
        """Updates the targets from the model's logits; called every epoch or every few steps.

        Args:
            logits: ``(N, L)`` of all training images; NaN for images without logits.
            progress: Share of training that is done, 0 to 1.

        Raises:
            InputError: If the logits are not ``(N, L)``.
        """
        if logits.shape != self.targets.shape:
            raise InputError(
                f"logits have shape {tuple(logits.shape)}, the targets "
                f"{tuple(self.targets.shape)}: expected one row per training image"
            )

    def estimates(self, logits: Tensor) -> Tensor:
        """Returns an estimate of every entry, whether or not it is used as a target.

        Args:
            logits: As for :meth:`update`.

        Returns:
            float32 ``(N, L)`` in [0, 1]; known entries unchanged, -1 where there is no estimate.
        """
        return self.targets

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint needs to resume exactly: tensors only."""
        return {"targets": self.targets.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state from a checkpoint.

        Raises:
            InputError: If it belongs to other targets.
        """
        saved: Tensor = state["targets"]
        same = saved.shape == self.targets.shape
        if not same or not torch.equal(saved[self.known], self.targets[self.known]):
            raise InputError(
                "the checkpoint belongs to other targets: the data or the masked labels have "
                "changed since the run began; train from scratch"
            )
        self.targets = saved.clone()


def label_rates(targets: Tensor, known: Tensor, weight: float = 1.0) -> Tensor:
    """Estimates how frequent each label is among its known entries.

    The estimate is shrunk towards the rate over all labels, as if ``weight`` more entries were
    known. A label without known entries gets that rate, and no label gets 0 or 1.

    Args:
        targets: ``(N, L)``.
        known: bool ``(N, L)``.
        weight: Number of pseudo-entries.

    Returns:
        ``(L,)``, in [0, 1]; 0 or 1 only if all known entries of all labels are.
    """
    present = torch.where(known, targets, 0.0).sum(0)
    count = known.sum(0)
    overall = present.sum() / count.sum().clamp(min=1)
    return (present + weight * overall) / (count + weight)
