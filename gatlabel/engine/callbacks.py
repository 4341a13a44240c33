"""Callbacks of every run: learning curves, and handling of signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from gatlabel.interruptions import Signals

WriteRows = Callable[[list[dict[str, float]]], None]


class Curves(Callback):
    """Collects one row of numbers per epoch, and stores them in checkpoints.

    Args:
        write: Called with all rows after every epoch.

    Attributes:
        rows: ``{"epoch": 1, "train_loss": …, "val_loss": …, "val_mAP": …, "lr": …}``.
    """

    def __init__(self, write: WriteRows) -> None:
        self.rows: list[dict[str, float]] = []
        self.write = write

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the numbers logged by the module, and the head's rate in the last step."""
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        # the schedule has moved on by now, after the last step of a run even past its end
        values["lr"] = float(pl_module.rate)  # type: ignore[arg-type]
        self.rows.append({"epoch": trainer.current_epoch + 1, **values})
        self.write(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the rows of a checkpoint, and writes them, as the file may be an epoch ahead."""
        self.rows = rows_of(state_dict)
        self.write(self.rows)


def rows_of(state: dict[str, Any]) -> list[dict[str, float]]:
    """Returns the rows in a checkpoint; those of earlier versions count epochs from 0."""
    rows: list[dict[str, float]] = [dict(row) for row in state["rows"]]
    shift = 1 if rows and rows[0]["epoch"] == 0 else 0
    return [{**row, "epoch": row["epoch"] + shift} for row in rows]


class Interruptible(Callback):
    """Ends training between two steps if another library has swallowed a signal's exception.

    Args:
        signals: The received signals.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def on_train_batch_start(self, *arguments: Any) -> None:
        """Raises the exception of a received signal."""
        self.signals.check()
