"""How time is counted: processor seconds of one process and of those it waited for."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: What the environment of every process says, so that one thread works.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def cpu_seconds() -> float:
    """Processor seconds of this process, all its threads, and of processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


class Clock:
    """Counts processor seconds from when it is made, without what is put outside."""

    def __init__(self) -> None:
        self._start = cpu_seconds()
        self._outside = 0.0

    @property
    def seconds(self) -> float:
        """Counted so far."""
        return cpu_seconds() - self._start - self._outside

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What happens inside is not counted: trials that tell how long an epoch takes."""
        before = cpu_seconds()
        try:
            yield
        finally:
            self._outside += cpu_seconds() - before


def epochs_that_fit(left: float, epoch: float) -> int:
    """How many epochs of so many seconds fit; one at least, also where it takes longer."""
    return max(1, int(left / epoch))


def limit_threads() -> None:
    """Makes this process compute on one thread, and torch with it."""
    os.environ.update(ONE_THREAD)
    import torch

    torch.set_num_threads(1)
