"""How much memory all threads of a process together may decode images in."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MemoryBudget:
    """A bound on memory that threads share: who would exceed it waits until others are done.

    One image that exceeds the bound by itself is let through when nobody else holds anything. A
    thread that holds something already does not wait, so threads cannot wait for each other.

    Args:
        most: Bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._reset()
        if hasattr(os, "register_at_fork"):  # a lock that another thread holds stays so in a child
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self.taken = 0
        self._freed = threading.Condition()
        self._own = threading.local()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What this thread takes inside is given back at the end of the outermost scope."""
        if getattr(self._own, "depth", 0):
            yield
            return
        self._own.depth, self._own.taken = 1, 0
        try:
            yield
        finally:
            taken = getattr(self._own, "taken", 0)
            self._own.depth, self._own.taken = 0, 0
            with self._freed:
                self.taken -= taken
                self._freed.notify_all()

    def take(self, amount: int) -> None:
        """Takes memory, inside a scope; waits until there is enough.

        Args:
            amount: Bytes.
        """
        with self._freed:
            if not self._own.taken:
                self._freed.wait_for(lambda: not self.taken or self.taken + amount <= self.most)
            self.taken += amount
            self._own.taken += amount


DECODING = MemoryBudget(1 << 30)
"""The budget of decoding, until an image has been brought to the size that is kept of it."""


def usable_memory() -> int:
    """Returns the bytes of memory that this process may use: the machine's, or its control group's.

    Unknown is 4 GiB.
    """
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 << 30
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # another system, or "max"
        return machine
