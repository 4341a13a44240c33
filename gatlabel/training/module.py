"""The Lightning module: loss, optimiser and validation of one model."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from gatlabel.metrics import mean_average_precision
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.completion import Completion
from gatlabel.training.config import TrainConfig
from gatlabel.training.losses import make_loss as make_loss
from gatlabel.training.optimizers import make_optimizer, make_schedule

Batch = tuple[Tensor, Tensor, Tensor]


class TrainingModule(pl.LightningModule):
    """Trains a :class:`~gatlabel.model.MultiLabelClassifier`.

    Logs ``train_loss``, ``val_loss`` and ``val_mAP`` (uninterpolated; labels without a positive
    left out), each once an epoch.

    Args:
        model: The model.
        config: The options of the run.
        steps_per_epoch: Number of optimiser steps in an epoch.
        completion: Gives the targets of the training pictures, by their position, instead of the
            batches; it learns the logits of every epoch, and checkpoints hold its state.
    """

    def __init__(
        self,
        model: MultiLabelClassifier,
        config: TrainConfig,
        steps_per_epoch: int,
        completion: Completion | None = None,
    ) -> None:
        super().__init__()
        self.model, self.config, self.steps_per_epoch = model, config, steps_per_epoch
        self.loss = make_loss(config)
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._losses: list[Tensor] = []  # of the epoch's training batches, and their pictures
        self._sizes: list[int] = []
        self.completion = completion
        # of the training pictures, on the device; none until the first step of an epoch
        self._completed: Tensor | None = None
        self._train_logits: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Images uint8 ``(B, 3, H, W)`` -> logits ``(B, L)``."""
        logits: Tensor = self.model(images)
        return logits

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Returns the loss of one batch."""
        images, targets, indices = batch
        if self.completion is not None:
            targets = self._completed_targets(indices, self.completion)
        features = self.model.features(images)
        logits, losses = self.model.head.training_losses(features, targets, self.loss)
        if self.completion is not None:
            self._keep_logits(logits, indices)
        self._losses.append(losses[0].detach())
        self._sizes.append(len(images))
        if self.trainer.is_last_batch:  # logged once: at every step it costs as much as the loop
            device, dtype = losses[0].device, losses[0].dtype
            weights = torch.tensor(self._sizes, dtype=dtype, device=device)
            mean = (torch.stack(self._losses) * weights).sum() / weights.sum()
            self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=1)
        return torch.stack(losses).sum()

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of what learns from further losses apart from the rest."""
        apart = {id(p) for p in self.model.head.apart_parameters()}
        if not apart or not gradient_clip_val or gradient_clip_algorithm == "value":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        # in the optimiser's order, as Lightning has it: sums in another order round otherwise
        every = [p for group in optimizer.param_groups for p in group["params"]]
        for further in (False, True):
            mine = [p for p in every if (id(p) in apart) == further]
            nn.utils.clip_grad_norm_(mine, float(gradient_clip_val))

    def on_train_epoch_start(self) -> None:
        """Forgets the losses of the last epoch."""
        self._losses, self._sizes = [], []

    def _completed_targets(self, indices: Tensor, completion: Completion) -> Tensor:
        """Returns the targets ``(B, L)`` of a batch as they stand now."""
        if self._completed is None:
            self._completed = completion.targets.to(self.device)
        return self._completed[indices.to(self.device)]

    def _keep_logits(self, logits: Tensor, indices: Tensor) -> None:
        """Keeps the logits of a batch for the next completion."""
        assert self._completed is not None
        if self._train_logits is None:
            self._train_logits = torch.full_like(self._completed, torch.nan)
        rows = indices.to(self._train_logits.device)
        self._train_logits[rows] = logits.detach().to(self._train_logits.dtype)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Completes targets after the last batch: checkpoints are written before the epoch ends."""
        last = self.trainer.is_last_batch
        if self.completion is None or self._train_logits is None or not last:
            return
        progress = (self.current_epoch + 1) / (self.trainer.max_epochs or 1)
        self.completion.update(self._train_logits, progress)
        self._completed = self._train_logits = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the completion knows."""
        if self.completion is not None:
            checkpoint["completion"] = self.completion.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up what the completion knew."""
        if self.completion is not None and "completion" in checkpoint:
            self.completion.load_state_dict(checkpoint["completion"])

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Keeps the logits; metrics over batches are not means of batches' metrics."""
        images, targets, _ = batch
        self._logits.append(self(images).float())
        self._targets.append(targets)

    def on_validation_epoch_end(self) -> None:
        """Computes loss and mAP over all of the split."""
        logits, targets = torch.cat(self._logits), torch.cat(self._targets)
        self._logits, self._targets = [], []
        self.log("val_loss", self.loss(logits, targets))
        self.log("val_mAP", mean_average_precision(logits, targets).value, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Returns the optimiser and its schedule."""
        optimizer = make_optimizer(self.model, self.config)
        scheduler, interval = make_schedule(optimizer, self.config, self.steps_per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": interval},
        }
