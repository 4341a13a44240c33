"""How long a run trains, over all its interruptions."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch.callbacks import Callback

from gatlabel.engine.checkpoints import Checkpoint


class Duration(Callback):
    """Measures training and validation; its state is in checkpoints.

    Args:
        finished: The last checkpoint of a fully trained run, to read its duration from.
    """

    def __init__(self, finished: Checkpoint | None = None) -> None:
        self._before = 0.0  # seconds until the last interruption
        self._began: float | None = None
        if finished is not None and finished.complete:
            self.load_state_dict(finished.state["callbacks"].get(type(self).__qualname__, {}))

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + (0.0 if self._began is None else time.monotonic() - self._began)

    def on_train_start(self, *given: Any) -> None:
        """Starts the clock."""
        self._began = time.monotonic()

    def on_train_end(self, *given: Any) -> None:
        """Stops the clock."""
        self._before, self._began = self.seconds, None

    def state_dict(self) -> dict[str, Any]:
        """Returns the seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the seconds of an interrupted run."""
        self._before = float(state_dict.get("seconds", 0.0))
