"""Prefetching in threads, with preserved order and bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST = 8  # threads by default; with more, decoding is no longer the bottleneck


def default_workers() -> int:
    """Returns the default number of decoding threads: one per available processor, at most 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, _MOST)


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Iterator[R]:
    """Applies a function to items in threads, and yields the results in the order of the items.

    Items are taken from the iterable in the calling thread, and never more than ``ahead`` beyond
    the last one whose result was yielded.

    Args:
        function: Called in several threads at once.
        items: The items; may be infinite.
        workers: Number of threads; 0 calls the function when its result is requested.
        ahead: Maximum number of items taken ahead, at least 1.

    Raises:
        Exception: The exception of the function, in the order of the items.
    """
    if workers == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="gatlabel-decode")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
