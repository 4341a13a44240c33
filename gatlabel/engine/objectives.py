"""What training lowers: losses of batches by name, and what happens at the end of epochs."""

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
    """Gives the losses of batches to the engine.

    Only :meth:`step` must be written; the other methods do nothing unless they are overridden.
    Parameters of an objective are learned with those of the model, without weight decay; its
    parameters and buffers are in the checkpoints.

    Attributes:
        ranks: The processes that share each batch; ``None`` where there is only this one. The mean
            over the processes of what :meth:`step` returns must be the loss of the whole batch.
        monitor: Name of the figure in :meth:`validation_figures` by which epochs are compared, the
            greater the better; ``None`` where there is none.
    """

    ranks: Ranks | None = None
    monitor: str | None = None

    @property
    def needs_end_step(self) -> bool:
        """Whether :meth:`end_step` is to be called."""
        return False

    @abstractmethod
    def step(self, model: Network, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Returns the losses of a batch, scalars by name.

        Args:
            model: In training mode.
            batch: On the model's device.
            epoch: Counted from 0.
        """

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Returns the one loss that is sent back, of the losses of the last :meth:`step`."""
        return torch.stack(list(losses.values())).sum()

    def reported(self, losses: dict[str, Tensor]) -> Tensor:
        """Returns what stands in learning curves as ``train_loss``, without gradient."""
        return self.total(losses).detach()

    def prepare(self, model: Network, validation: DataLoader[Any]) -> None:
        """Called once before training begins, with the loader of validation batches."""

    def begin_epoch(self, model: Network, epoch: int, epochs: int) -> None:
        """Called before the first batch of an epoch.

        Args:
            model: In training mode.
            epoch: The one that begins, counted from 0.
            epochs: Number of all.
        """

    def end_step(self, model: Network, batch: Batch, epoch: int) -> None:
        """Called after the optimiser's step, with the random state of :meth:`step`."""

    def end_epoch(self, epoch: int, epochs: int) -> None:
        """Called after the last batch of an epoch, before validation.

        Args:
            epoch: The finished one, counted from 0.
            epochs: Number of all.
        """

    def validation_step(self, model: Network, batch: Batch) -> None:
        """Takes a validation batch, the model in evaluation mode."""

    def validation_figures(self, epoch: int) -> dict[str, Tensor | float]:
        """Returns figures of all validation batches since the last call, by name."""
        return {}

    def memory(self) -> dict[str, Any]:
        """Returns what checkpoints hold beside parameters and buffers: tensors and primitives."""
        return {}

    def recall(self, memory: dict[str, Any]) -> None:
        """Takes up what :meth:`memory` returned."""
