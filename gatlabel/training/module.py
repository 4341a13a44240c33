"""The Lightning module: loss, optimiser and validation of one model."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from gatlabel.losses import AsymmetricLoss, BCELoss, FocalLoss
from gatlabel.metrics import mean_average_precision
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.optimizers import make_optimizer, make_schedule

Batch = tuple[Tensor, Tensor, Tensor]


def make_loss(config: TrainConfig) -> nn.Module:
    """Builds the loss that the options name."""
    if config.loss == "focal":
        return FocalLoss(gamma=config.gamma_positive or 2.0)
    if config.loss == "asl":
        return AsymmetricLoss(
            gamma_negative=config.gamma_negative,
            gamma_positive=config.gamma_positive,
            clip=config.clip,
        )
    return BCELoss()


class TrainingModule(pl.LightningModule):
    """Trains a :class:`~gatlabel.model.MultiLabelClassifier`.

    Logs ``train_loss``, ``val_loss`` and ``val_mAP`` (uninterpolated; labels without a positive
    left out), each once an epoch.

    Args:
        model: The model.
        config: The options of the run.
        steps_per_epoch: Number of optimiser steps in an epoch.
    """

    def __init__(
        self, model: MultiLabelClassifier, config: TrainConfig, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.model, self.config, self.steps_per_epoch = model, config, steps_per_epoch
        self.loss = make_loss(config)
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Images uint8 ``(B, 3, H, W)`` -> logits ``(B, L)``."""
        logits: Tensor = self.model(images)
        return logits

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Returns the loss of one batch."""
        images, targets, _ = batch
        loss: Tensor = self.loss(self(images), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

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
