"""How long training may take, and how much of that is left."""

from __future__ import annotations

import re
import time

from gatlabel.errors import InputError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*")


def seconds_of(text: str) -> float:
    """Returns a time such as ``10m``, ``90s``, ``1.5h`` or ``600`` in seconds.

    Raises:
        InputError: If it is no time above 0.
    """
    found = _TIME.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds < 1e9:
        raise InputError(f"time={text}: expected a time above 0, such as 10m, 90s or 1h")
    return seconds


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
