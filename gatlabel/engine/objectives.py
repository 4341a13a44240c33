"""Training objectives: losses of batches by name, and hooks for steps and epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gatlabel.batch import Batch
from gatlabel.engine.ranks import Ranks
from gatlabel.model import Network


class Objective(nn.Module, ABC):
    """Computes the losses of batches for the engine.

    Only :meth:`step` must be implemented; the other methods do nothing by default. Parameters of an
    objective are trained with those of the model, without weight decay. Its parameters and buffers
    are saved in checkpoints.

    Attributes:
        ranks: The processes that share each batch; ``None`` for a single process. The mean over
            processes of the result of :meth:`step` must be the loss of the whole batch.
        monitor: Name of the metric in :meth:`validation_metrics` by which epochs are compared,
            larger is better; ``None`` if there is none.
    """

    ranks: Ranks | None = None
    monitor: str | None = None

    @property
    def needs_end_step(self) -> bool:
        """Whether :meth:`end_step` must be called."""
        return False

    @abstractmethod
    def step(self, model: Network, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Returns the losses of a batch, scalars by name.

        Args:
            model: The model, in training mode.
            batch: The batch, on the model's device.
            epoch: The epoch, counted from 0.
        """

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Returns the loss for backpropagation, given the losses of the last :meth:`step`."""
        return torch.stack(list(losses.values())).sum()

    def reported(self, losses: dict[str, Tensor]) -> Tensor:
        """Returns the ``train_loss`` of the learning curves, without gradient."""
        return self.total(losses).detach()

    def prepare(self, model: Network, validation: DataLoader[Any] | None) -> None:
        """Called once before training, with the loader of validation batches, if there is one."""

    def begin_epoch(self, model: Network, epoch: int, epochs: int) -> None:
        """Called before the first batch of an epoch.

        Args:
            model: The model, in training mode.
            epoch: The epoch, counted from 0.
            epochs: Number of epochs.
        """

    def end_step(self, model: Network, batch: Batch, epoch: int) -> None:
        """Called after the optimiser's step, with the random state of :meth:`step`."""

    def end_epoch(self, epoch: int, epochs: int) -> None:
        """Called after the last batch of an epoch, before validation.

        Args:
            epoch: The finished epoch, counted from 0.
            epochs: Number of epochs.
        """

    def validation_step(self, model: Network, batch: Batch) -> None:
        """Receives a validation batch; the model is in evaluation mode."""

    def validation_metrics(self, epoch: int) -> dict[str, Tensor | float]:
        """Returns metrics of all validation batches since the last call, by name."""
        return {}

    def memory(self) -> dict[str, Any]:
        """Returns further state for checkpoints: tensors and primitives."""
        return {}

    def recall(self, memory: dict[str, Any]) -> None:
        """Restores the state returned by :meth:`memory`."""
