"""SIGTERM and Ctrl-C end a command at once, with a one-line message; finished work is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delays SIGINT and SIGTERM until the end of the block, so that its output is complete.

    A second signal is not delayed: the block may be waiting for a reader that has ended. Outside
    the main thread, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        handler = before[number]
        if len(received) > 1 and callable(handler):
            handler(number, frame)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in NAMES}
    for number in before:
        signal.signal(number, remember)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


class Stopped(BaseException):
    """SIGINT or SIGTERM was received.

    Lightning ends the process on a ``KeyboardInterrupt``, and other libraries catch ``Exception``;
    this is neither.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(NAMES[signal.Signals(number)])
        self.exit_code = 128 + number


class Signals:
    """While this context is open, SIGINT and SIGTERM raise :class:`Stopped`.

    It is raised at once, at any point of the code; files are written atomically and stay intact.
    If another library swallows it, :meth:`check` raises it again. Outside the main thread, signals
    keep their handlers.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises :class:`Stopped` again if a signal was received before.

        Raises:
            Stopped: If a signal was received.
        """
        if self.received is not None:
            raise Stopped(self.received)

    @contextmanager
    def first(self) -> Iterator[None]:
        """Raises :class:`Stopped` instead of another exception of the block, if there was a signal.

        C++ code that calls back into Python replaces exceptions raised there by its own: a signal
        during ``torch.save`` becomes a write error.
        """
        try:
            yield
        except Exception:
            self.check()
            raise

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # process managers send SIGTERM twice, to the process and to its group: ignore the second
        if self.received is not None and number == signal.SIGTERM:
            return
        self.received = number
        raise Stopped(number)
