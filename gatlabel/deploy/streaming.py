"""Images decoded ahead of the model, in batches, in their order and in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Literal, TypeVar

from gatlabel.deploy.inputs import Decoded, Decoder
from gatlabel.deploy.sources import Sources, images_of, is_one_image

OnError = Literal["stop", "skip"]
T = TypeVar("T")
R = TypeVar("R")

_MOST = 8  # threads by default: with more, what is not decoding becomes the limit


def decoded_batches(
    images: Sources, decoder: Decoder, *, on_error: OnError, batch_size: int, workers: int
) -> Iterator[list[Decoded]]:
    """Yields batches of decoded images; an iterable is read at most two batches ahead.

    Args:
        images: What callers name.
        decoder: Reads one image.
        on_error: ``"stop"`` raises at the first image that cannot be read.
        batch_size: Most images in a batch.
        workers: Threads that decode; none are used for one image.

    Raises:
        InputError: If an image cannot be read, and ``on_error`` is ``"stop"``.
    """
    ahead = batch_size if is_one_image(images) else 2 * batch_size
    workers = 0 if is_one_image(images) else workers
    decoded = map_ahead(decoder, enumerate(images_of(images)), workers=workers, ahead=ahead)
    while batch := list(islice(_unless_stopped(decoded, on_error), batch_size)):
        yield batch


def _unless_stopped(decoded: Iterator[Decoded], on_error: OnError) -> Iterator[Decoded]:
    for each in decoded:
        if each[2] is not None and on_error == "stop":
            raise each[2]
        yield each


def default_workers() -> int:
    """Returns how many threads decode by default: one per processor that may be used, at most 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, _MOST)


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Iterator[R]:
    """Applies a function to items in threads, and yields the results in the order of the items.

    Items are taken from the iterable in the calling thread, and never more than ``ahead`` beyond
    the last one whose result was yielded.

    Args:
        function: Is called in several threads at once.
        items: May be endless.
        workers: Threads; 0 calls the function when its result is asked for, with nothing ahead.
        ahead: Most items that are taken ahead, at least 1.

    Raises:
        Exception: What the function raises, when it is the turn of that item.
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
