"""A Lightning callback that writes one checkpoint per epoch, and resuming from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint as CheckpointCallback

from gatlabel.engine.checkpoints import Checkpoint, save_checkpoint


class EpochCheckpoints(CheckpointCallback):
    """Writes a checkpoint before the first epoch and after every one, whatever its score.

    Lightning's ``save_last`` writes only together with ``best``, through a temporary folder that
    may be on another file system, and before the epoch's schedules have stepped.

    Args:
        folder: The folder of checkpoints.
        record: Description of the run as primitives; saved under ``run``.
        monitor: Name of the metric that selects the best epoch, larger is better; ``None`` for no
            best epoch.

    Attributes:
        best_score: The best value so far; ``None`` if there is none.
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
        # the state of Lightning's loops is not needed, as `resume_from` sets it
        del state["loops"]
        complete = trainer.should_stop or epoch + 1 >= (trainer.max_epochs or 0)
        state["epoch"] = epoch
        state["run"] = {**self.record, "complete": complete}
        save_checkpoint(self.folder, state, best=best)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best score for the checkpoint."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best score of a checkpoint."""
        self.best_score = state_dict["best_score"]


def resume_from(trainer: pl.Trainer, checkpoint: Checkpoint) -> None:
    """Makes a trainer's next ``fit`` start with the epoch after a checkpoint's.

    Lightning restores weights, optimiser, schedule, scaler and callbacks from the file. Its loops
    are set here to the state between two epochs. Lightning's own restart within an epoch skips
    hooks, and uses the order of epoch 0 if workers prefetch.
    """
    loop = trainer.fit_loop
    epochs = {"ready": checkpoint.epoch + 1, "completed": checkpoint.epoch + 1}
    epochs |= {"started": checkpoint.epoch + 1, "processed": checkpoint.epoch + 1}
    for progress in (loop.epoch_progress.current, loop.epoch_progress.total):
        progress.load_state_dict(epochs)
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    steps.total.ready = steps.total.completed = checkpoint.global_step
    loop.epoch_loop._batches_that_stepped = checkpoint.global_step
