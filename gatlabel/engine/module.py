"""The Lightning module: steps, clipping and validation of a model with an objective."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gatlabel.batch import Batch
from gatlabel.data.seeds import mixed
from gatlabel.engine.nonfinite import NonFiniteGuard
from gatlabel.engine.objectives import Objective
from gatlabel.engine.optimizers import make_optimizer, make_schedule
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.ranks import Ranks, SharedBatchNorm
from gatlabel.engine.specs import FitSpec
from gatlabel.model import Network


class TrainingModule(pl.LightningModule):
    """Trains a model with an objective.

    Logs ``train_loss`` and the metrics of the objective once per epoch.

    Args:
        model: The model.
        objective: Computes the losses.
        optimizer: The optimiser and its schedule.
        spec: The fit specification.
        steps_per_epoch: Number of optimiser steps per epoch.
        guard: Checks losses and gradients; by default a value that is not finite stops training.
        ranks: The processes that share each batch; ``None`` for a single process.
    """

    def __init__(
        self,
        model: Network,
        objective: Objective,
        optimizer: OptimizerOptions,
        spec: FitSpec,
        steps_per_epoch: int,
        guard: NonFiniteGuard | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        # as submodules they move to the device with the model, and their parameters are trained
        own = [task.loss for task in model.tasks.values()]
        self.task_losses = nn.ModuleList(loss for loss in own if isinstance(loss, nn.Module))
        self.optimization, self.spec, self.steps_per_epoch = optimizer, spec, steps_per_epoch
        self.ranks = objective.ranks = ranks
        # once: asking the heads in every step takes as long as some of its operations
        self.auxiliary = frozenset(map(id, model.parameters_with_role("auxiliary")))
        self._losses: list[Tensor] = []  # losses of the epoch's batches, with numbers of images
        self._sizes: list[int] = []
        self.guard = NonFiniteGuard() if guard is None else guard
        self._batch: Batch | None = None  # the batch of this step, its loss and random seed
        self._loss = torch.zeros(())
        self._seed = 0
        self.rate = 0.0  # the highest learning rate of the last step
        self._norms: AbstractContextManager[object] = nullcontext()
        if ranks is not None and any(isinstance(m, _BatchNorm) for m in model.modules()):
            self._norms = SharedBatchNorm()

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Seeds dropout and stochastic depth by seed and step."""
        rank = () if self.ranks is None or not self.ranks.rank else (self.ranks.rank,)
        self._seed = mixed(self.spec.seed, self.global_step, *rank)
        torch.manual_seed(self._seed)
        self.guard.begin_step(self.model)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Returns the loss of one batch."""
        with self._norms:
            losses = self.objective.step(self.model, batch, self.current_epoch)
            loss = self.objective.total(losses)
        self._losses.append(self.objective.reported(losses))
        self._sizes.append(len(batch))
        self._batch, self._loss = batch, loss.detach()
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norms of auxiliary parameters and of all others separately.

        Takes no step if the loss or a norm is not finite and the run skips such batches.
        """
        self.rate = max(group["lr"] for group in optimizer.param_groups)
        norms = clip_gradients(self.auxiliary, optimizer, gradient_clip_val)
        if self.ranks is not None:
            both = self.ranks.mean(torch.stack([self._loss, self._losses[-1]]))
            self._loss, self._losses[-1] = both[0], both[1]
        values = {"loss": self._loss}
        # a gradient scaler skips steps with infinite gradients itself, and then lowers its scale
        if getattr(self.trainer.precision_plugin, "scaler", None) is None:
            values["gradient norm"] = torch.stack(norms).sum()
        assert self._batch is not None
        if not self.guard.passes(
            values,
            self.model,
            self._batch,
            epoch=self.current_epoch,
            step=self.global_step,
            rate=self.rate,
        ):
            optimizer.zero_grad()  # the optimiser ignores parameters without gradient
            self._losses.pop()
            self._sizes.pop()

    def on_train_epoch_start(self) -> None:
        """Clears the losses of the last epoch, and starts an epoch of the objective."""
        self._losses, self._sizes = [], []
        self.objective.begin_epoch(self.model, self.current_epoch, self.trainer.max_epochs or 1)
        self.guard.begin_epoch()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Ends the step, and after the last batch the epoch, before the checkpoint is written."""
        if self.objective.needs_end_step:
            torch.manual_seed(self._seed)
            with self._norms:
                self.objective.end_step(self.model, batch, self.current_epoch)
        if not self.trainer.is_last_batch:
            return
        self.guard.end_epoch(self.current_epoch, batch_index + 1)
        # logged once per epoch: logging every step would cost as much as the loop
        losses = torch.stack(self._losses)
        weights = torch.tensor(self._sizes, dtype=losses.dtype, device=losses.device)
        mean = (losses * weights).sum() / weights.sum()
        self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=1)
        self.objective.end_epoch(self.current_epoch, self.trainer.max_epochs or 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state of the objective other than parameters and buffers."""
        checkpoint["objective"] = self.objective.memory()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the state of the objective."""
        self.objective.recall(checkpoint.get("objective", {}))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Passes the batch to the objective."""
        self.objective.validation_step(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of the objective."""
        for name, value in self.objective.validation_metrics(self.current_epoch).items():
            self.log(name, value, prog_bar=name == self.objective.monitor)

    def configure_optimizers(self) -> Any:
        """Returns the optimiser and its schedule."""
        further = [*self.objective.parameters(), *self.task_losses.parameters()]
        optimizer = make_optimizer(self.model, self.optimization, self.spec, further)
        schedule = self.optimization.schedule
        scheduler = make_schedule(optimizer, schedule, self.spec.epochs, self.steps_per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def clip_gradients(auxiliary: Collection[int], optimizer: Any, limit: float | None) -> list[Tensor]:
    """Clips the norms of auxiliary parameters and of all others separately.

    Args:
        auxiliary: Identities (``id``) of the parameters that learn from further losses.
        optimizer: The optimiser, whose groups contain the parameters.
        limit: Maximum norm; 0 or ``None`` clips nothing.

    Returns:
        The norms before clipping: of all other parameters, and of auxiliary ones if there are any.
    """
    # in the optimiser's order, since the order of a sum affects rounding
    every = [p for group in optimizer.param_groups for p in group["params"]]
    norms = []
    for further in (False, True) if auxiliary else (False,):
        mine = [p for p in every if (id(p) in auxiliary) == further]
        # an infinite limit clips nothing
        if limit:
            norms.append(nn.utils.clip_grad_norm_(mine, float(limit)))
        else:
            norms.append(nn.utils.get_total_norm([p.grad for p in mine if p.grad is not None]))
    return norms
