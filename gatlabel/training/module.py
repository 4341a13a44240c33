"""The Lightning module: loss, optimiser and validation of one model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gatlabel.batch import IMAGE, LABELS, Batch
from gatlabel.data.seeds import mixed
from gatlabel.labels import UNKNOWN
from gatlabel.losses import set_progress
from gatlabel.metrics import mean_average_precision
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.training.config import TrainConfig
from gatlabel.training.losses import make_loss as make_loss
from gatlabel.training.nonfinite import DivergedError, NonFiniteGuard
from gatlabel.training.optimizers import make_optimizer, make_schedule
from gatlabel.training.ranks import Ranks, SharedBatchNorm
from gatlabel.training.teacher import Teacher


class TrainingModule(pl.LightningModule):
    """Trains a :class:`~gatlabel.model.MultiLabelClassifier`.

    Logs ``train_loss``, ``val_loss`` and ``val_mAP`` (uninterpolated; labels without a positive
    left out), each once an epoch.

    Args:
        model: The model.
        config: The options of the run.
        steps_per_epoch: Number of optimiser steps in an epoch.
        completion: Gives the targets of the training images, by their position, instead of the
            batches; it learns the logits of every epoch, and checkpoints hold its state.
        guard: Judges losses and gradients; by default a value that is not finite stops training.
        ranks: The processes that share each batch; none where there is only this one.
        loss: What training minimises; by default the one that the options name, where it needs
            nothing of the training set.
    """

    def __init__(
        self,
        model: MultiLabelClassifier,
        config: TrainConfig,
        steps_per_epoch: int,
        completion: Completion | None = None,
        guard: NonFiniteGuard | None = None,
        ranks: Ranks | None = None,
        loss: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model, self.config, self.steps_per_epoch = model, config, steps_per_epoch
        self.loss = make_loss(config) if loss is None else loss
        self._teacher = Teacher.load(config.distillation, model.labels)
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self.ranks = ranks
        self._losses: list[Tensor] = []  # of the epoch's training batches, and their images
        self._sizes: list[int] = []
        self.completion = completion
        self.guard = NonFiniteGuard() if guard is None else guard
        self._batch: Batch | None = None  # the one of this step, and its loss
        self._loss = torch.zeros(())
        # of the training images, on the device; none until the first step of an epoch
        self._completed: Tensor | None = None
        self._train_logits: Tensor | None = None
        self._norms: AbstractContextManager[object] = nullcontext()
        if ranks is not None and any(isinstance(m, _BatchNorm) for m in model.modules()):
            self._norms = SharedBatchNorm()
        self._validated: list[Tensor] = []  # positions of the images of the logits
        self._seen: list[Tensor] = []  # positions of the images of the training logits

    def forward(self, images: Tensor) -> Tensor:
        """Images uint8 ``(B, 3, H, W)`` -> logits ``(B, L)``."""
        logits: Tensor = self.model(images)
        return logits

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Makes dropout and stochastic depth a function of seed and step."""
        rank = () if self.ranks is None or not self.ranks.rank else (self.ranks.rank,)
        torch.manual_seed(mixed(self.config.run.seed, self.global_step, *rank))
        self.guard.begin_step(self.model)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Returns the loss of one batch."""
        logits, losses = self.batch_losses(batch)
        if self.completion is not None:
            self._keep_logits(logits, batch.index)
        self._losses.append(losses[0].detach())
        self._sizes.append(len(batch))
        loss = torch.stack(losses).sum()
        self._batch, self._loss = batch, loss.detach()
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of what learns from further losses apart from the rest.

        Takes no step where the loss or a norm is not finite, if the run skips such batches.
        """
        norms = clip_gradients(self.model, optimizer, gradient_clip_val)
        if self.ranks is not None:
            both = self.ranks.mean(torch.stack([self._loss, self._losses[-1]]))
            self._loss, self._losses[-1] = both[0], both[1]
        values = {"loss": self._loss}
        # a scaler of gradients skips infinite ones by itself, and then lowers its scale
        if getattr(self.trainer.precision_plugin, "scaler", None) is None:
            values["gradient norm"] = torch.stack(norms).sum()
        assert self._batch is not None
        if not self.guard.passes(
            values,
            self.model,
            self._batch,
            epoch=self.current_epoch,
            step=self.global_step,
            rate=max(group["lr"] for group in optimizer.param_groups),
        ):
            optimizer.zero_grad()  # the optimiser leaves parameters without gradient alone
            self._losses.pop()
            self._sizes.pop()

    def on_train_epoch_start(self) -> None:
        """Forgets the losses of the last epoch, and tells the loss how far training is."""
        self._losses, self._sizes = [], []
        progress = self.current_epoch / (self.trainer.max_epochs or 1)
        set_progress(self.loss, progress, self.current_epoch)
        self.guard.begin_epoch()

    def batch_losses(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns the logits ``(B, L)`` of a batch and the losses whose sum training lowers."""
        targets = self.current_targets(batch)
        with self._norms:
            features = self.model.features(batch.inputs[IMAGE])
            logits, losses = forward_losses(self.model.head, features, targets, self.loss)
        if self.ranks is not None:  # every loss is a mean over known targets
            weight = self.ranks.weight((targets != UNKNOWN).sum())
            losses = tuple(loss * weight for loss in losses)
        return logits, losses

    def current_targets(self, batch: Batch) -> Tensor:
        """Returns the targets ``(B, L)`` of a batch as they stand now."""
        targets = batch.targets[LABELS]
        if self.completion is not None:
            if self._completed is None:
                self._completed = self.completion.targets.to(self.device)
            targets = self._completed[batch.index.to(self.device)]
        if self._teacher is None:
            return targets
        return self._teacher.mixed(batch.inputs[IMAGE], targets)

    def _keep_logits(self, logits: Tensor, indices: Tensor) -> None:
        """Keeps the logits of a batch for the next completion."""
        assert self._completed is not None
        if self._train_logits is None:
            self._train_logits = torch.full_like(self._completed, torch.nan)
        rows = indices.to(self._train_logits.device)
        self._seen.append(rows)
        self._train_logits[rows] = logits.detach().to(self._train_logits.dtype)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Logs the loss and completes targets after the last batch, before the checkpoint."""
        if not self.trainer.is_last_batch:
            return
        self.guard.end_epoch(self.current_epoch, batch_index + 1)
        # logged once: at every step it costs as much as the loop
        losses = torch.stack(self._losses)
        weights = torch.tensor(self._sizes, dtype=losses.dtype, device=losses.device)
        mean = (losses * weights).sum() / weights.sum()
        self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=1)
        if self.completion is None or self._train_logits is None:
            return
        if self.ranks is not None:
            mine = torch.cat(self._seen)
            rows = self.ranks.gather(mine)
            self._train_logits[rows] = self.ranks.gather(self._train_logits[mine])
        self._seen = []
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
        self._logits.append(self(batch.inputs[IMAGE]).float())
        self._targets.append(batch.targets[LABELS])
        self._validated.append(batch.index)

    def on_validation_epoch_end(self) -> None:
        """Computes loss and mAP over all of the split."""
        logits, targets = torch.cat(self._logits), torch.cat(self._targets)
        positions = torch.cat(self._validated)
        self._logits, self._targets, self._validated = [], [], []
        if self.ranks is not None:
            order = self.ranks.gather(positions).argsort()
            logits, targets = (self.ranks.gather(rows)[order] for rows in (logits, targets))
        if not bool(torch.isfinite(logits).all()):
            raise DivergedError(
                f"training diverged: after epoch {self.current_epoch} the logits of validation "
                "images are not finite, although every step was; lower --lr"
            )
        self.log("val_loss", self.loss(logits, targets))
        self.log("val_mAP", mean_average_precision(logits, targets).value, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Returns the optimiser and its schedule."""
        optimizer = make_optimizer(self.model, self.config)
        scheduler = make_schedule(optimizer, self.config, self.steps_per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def clip_gradients(
    model: MultiLabelClassifier, optimizer: Any, limit: float | None
) -> list[Tensor]:
    """Clips the norm of what learns from further losses apart from the rest.

    Args:
        model: The model that the optimiser trains.
        optimizer: Its groups hold the parameters.
        limit: The largest norm; 0 or ``None`` clips nothing.

    Returns:
        The norms before clipping: of the rest, and of the parts that learn apart if there are any.
    """
    apart = {id(p) for p in model.head.param_groups()["auxiliary"]}
    # in the optimiser's order: sums in another order round otherwise
    every = [p for group in optimizer.param_groups for p in group["params"]]
    norms = []
    for further in (False, True) if apart else (False,):
        mine = [p for p in every if (id(p) in apart) == further]
        # an infinite limit clips nothing
        if limit:
            norms.append(nn.utils.clip_grad_norm_(mine, float(limit)))
        else:
            norms.append(nn.utils.get_total_norm([p.grad for p in mine if p.grad is not None]))
    return norms
