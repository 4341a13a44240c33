"""How long training may take, and how much of that is left."""

from __future__ import annotations

import time


class Clock:
    """Counts the seconds since it was made.

    Args:
        limit: Seconds that there are; ``None`` for no limit.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit, self._began = limit, time.perf_counter()

    @property
    def spent(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._began

    @property
    def left(self) -> float:
        """Seconds until the limit, negative after it; infinite without one."""
        return float("inf") if self.limit is None else self.limit - self.spent
