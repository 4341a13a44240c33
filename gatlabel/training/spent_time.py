"""How long a run with one task takes, over all its interruptions."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback

from gatlabel.engine.checkpoints import Checkpoint
from gatlabel.training.clock import Clock


class SpentTime(Callback):
    """Adds the seconds until the last checkpoint to those of this process; checkpoints have them.

    Work that an interruption has lost does not count: the steps and folds that are repeated.

    Args:
        clock: The clock of this process.
        resumed: The checkpoint that the run is resumed from.
    """

    def __init__(self, clock: Clock, resumed: Checkpoint | None = None) -> None:
        self._clock, self._before = clock, 0.0
        if resumed is not None:  # a checkpoint of an older version has no seconds
            found = resumed.state.get("callbacks", {}).get(type(self).__qualname__, {})
            self._before = float(found.get("seconds", 0.0))

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + self._clock.spent

    def state_dict(self) -> dict[str, Any]:
        """Returns the seconds so far."""
        return {"seconds": self.seconds}
