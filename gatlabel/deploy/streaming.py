"""Batches of images, decoded in threads ahead of the model, in order and in bounded memory."""

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

_MOST = 8  # threads by default; with more, decoding is no longer the bottleneck


def decoded_batches(
    images: Sources, decoder: Decoder, *, on_error: OnError, batch_size: int, workers: int
) -> Iterator[list[Decoded]]:
    """Yields batches of decoded images; an iterable is read at most two batches ahead.

    Args:
        images: The images of the caller.
        decoder: Reads one image.
        on_error: ``"stop"`` raises at the first image that cannot be read.
        batch_size: Maximum batch size.
        workers: Decoding threads; a single image is decoded without threads.

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
