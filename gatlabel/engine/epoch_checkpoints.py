"""The Lightning side of checkpoints: one per epoch, and going on from one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint as CheckpointCallback

from gatlabel.engine.checkpoints import Checkpoint, save_checkpoint


class EpochCheckpoints(CheckpointCallback):
    """Writes a checkpoint before the first epoch and after every one, whatever its score.

    Lightning's own ``save_last`` writes only when ``best`` was written, through a temporary folder
    that may lie on another file system, and before the epoch's schedules have stepped.

    Args:
        folder: The folder of checkpoints.
        record: Primitives that describe the run; saved under ``run``.
        monitor: Name of the figure of which the greatest makes the best epoch; none: no best.

    Attributes:
        best_score: The greatest such figure so far; none where it was never defined.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any], monitor: str | None = None) -> None:
        super().__init__()
        self.monitor = monitor
        self.folder = folder
        self.record = record
        self.best_score: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the state before the first epoch, epoch -1."""
        if trainer.current_epoch == 0:
            self._save(trainer, -1, best=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the state after an epoch; Lightning calls checkpoint callbacks last."""
        score = trainer.callback_metrics.get(self.monitor or "")
        value = float("nan") if score is None else float(score)
        best = value > (float("-inf") if self.best_score is None else self.best_score)
        if best:
            self.best_score = value
        self._save(trainer, trainer.current_epoch, best=best)

    def _save(self, trainer: pl.Trainer, epoch: int, *, best: bool) -> None:
        state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        # where in an epoch Lightning's loops are matters to it only: `resume_from` sets them
        del state["loops"]
        complete = trainer.should_stop or epoch + 1 >= (trainer.max_epochs or 0)
        state["epoch"] = epoch
        state["run"] = {**self.record, "complete": complete}
        save_checkpoint(self.folder, state, best=best)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best score for the checkpoint."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the best score of a checkpoint."""
        self.best_score = state_dict["best_score"]


def resume_from(trainer: pl.Trainer, checkpoint: Checkpoint) -> None:
    """Lets a trainer's next ``fit`` begin with the epoch after a checkpoint's.

    Lightning restores weights, optimiser, schedule, scaler and callbacks from the file. Its loops
    are set here as they are between two epochs: their own restart from the middle of an epoch
    skips hooks, and takes the order of epoch 0 where workers fetch ahead.
    """
    loop = trainer.fit_loop
    epochs = {"ready": checkpoint.epoch + 1, "completed": checkpoint.epoch + 1}
    epochs |= {"started": checkpoint.epoch + 1, "processed": checkpoint.epoch + 1}
    for progress in (loop.epoch_progress.current, loop.epoch_progress.total):
        progress.load_state_dict(epochs)
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    steps.total.ready = steps.total.completed = checkpoint.global_step
    loop.epoch_loop._batches_that_stepped = checkpoint.global_step
