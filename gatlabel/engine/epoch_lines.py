"""One line per epoch, for runs without a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback


class EpochLines(Callback):
    """Logs losses, validation mAP, duration and remaining time after every epoch.

    A line reads ``epoch 3/12: train loss 0.1234, validation mAP 0.567, 8.1 s, about 1 min left``.
    The remaining time covers all remaining epochs, at the mean duration of the epochs of this
    process.

    Args:
        log: Called with each line.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._report = log  # Lightning sets `log` of callbacks
        self._began = self._epoch_began = 0.0
        self._done = 0

    def on_train_start(self, *arguments: Any) -> None:
        """Starts the clock of the run."""
        self._began = time.monotonic()

    def on_train_epoch_start(self, *arguments: Any) -> None:
        """Starts the clock of the epoch."""
        self._epoch_began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the line of the epoch."""
        now = time.monotonic()
        self._done += 1
        epoch, epochs = trainer.current_epoch + 1, int(trainer.max_epochs or 0)
        left = (epochs - epoch) * (now - self._began) / self._done
        values = trainer.callback_metrics
        parts = [
            f"{name} {float(values[key]):.{digits}f}"
            for key, name, digits in (
                ("train_loss", "train loss", 4),
                ("val_mAP", "validation mAP", 3),
            )
            if key in values
        ]
        parts.append(f"{now - self._epoch_began:.1f} s")
        if epoch < epochs:
            parts.append(f"about {in_words(left)} left")
        self._report(f"epoch {epoch}/{epochs}: {', '.join(parts)}")


def in_words(seconds: float) -> str:
    """Returns a rounded duration: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h {rest} min" if rest else f"{hours} h"
