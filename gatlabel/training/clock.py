"""The time limit of training."""

from __future__ import annotations

import time


class Clock:
    """Measures the seconds since its creation.

    Args:
        limit: Time limit in seconds; ``None`` for no limit.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit, self._began = limit, time.perf_counter()

    @property
    def spent(self) -> float:
        """Seconds since the creation of the clock."""
        return time.perf_counter() - self._began

    @property
    def left(self) -> float:
        """Seconds until the limit: negative after it, infinite without a limit."""
        return float("inf") if self.limit is None else self.limit - self.spent

    def limited(self, limit: float) -> Clock:
        """Returns a clock that began at the same time and has another limit."""
        other = Clock(limit)
        other._began = self._began
        return other
