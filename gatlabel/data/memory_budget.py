"""A limit on the memory in which the threads of a process decode images."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MemoryBudget:
    """A memory limit shared by threads: a thread that would exceed it waits for the others.

    A single image larger than the limit is admitted once no other thread holds memory. A thread
    that already holds some does not wait, so that there is no deadlock.

    Args:
        most: The limit in bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._reset()
        if hasattr(
            os, "register_at_fork"
        ):  # a lock held by another thread would stay locked in a child
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self.taken = 0
        self._freed = threading.Condition()
        self._own = threading.local()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Releases the memory taken by this thread at the end of its outermost scope."""
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
        """Takes memory inside a scope; waits until enough is available.

        Args:
            amount: Bytes.
        """
        with self._freed:
            if not self._own.taken:
                self._freed.wait_for(lambda: not self.taken or self.taken + amount <= self.most)
            self.taken += amount
            self._own.taken += amount


DECODING = MemoryBudget(1 << 30)
"""The budget for decoding; it covers an image until it is resized to its stored size."""


def usable_memory() -> int:
    """Returns the memory available to this process in bytes: the machine's or its cgroup's.

    The default, if it cannot be determined, is 4 GiB.
    """
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 << 30
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # another system, or "max"
        return machine
