"""How much a command reports: ``--quiet``, ``--verbose``, and the handler of log messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gatlabel.errors import InputError
from gatlabel.logs import LOGGER
from gatlabel.printing import note

QUIET, VERBOSE = "--quiet", "--verbose"


class _Lines(logging.Handler):
    """Prints messages as lines on standard error, warnings marked as such; with times if asked."""

    def __init__(self, *, times: bool) -> None:
        super().__init__()
        self.times = times

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message."""
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        at = time.strftime("%H:%M:%S ", time.localtime(record.created)) if self.times else ""
        note(f"{at}{mark}{record.getMessage()}")


@contextmanager
def logged(words: Sequence[str]) -> Iterator[list[str]]:
    """Prints the messages of the logger ``gatlabel`` while a command runs.

    Args:
        words: The words of the command line; ``--quiet`` and ``--verbose`` may be anywhere in them.

    Yields:
        The other words.

    Raises:
        InputError: If both are given.
    """
    quiet, verbose = QUIET in words, VERBOSE in words
    if quiet and verbose:
        raise InputError(f"{QUIET} and {VERBOSE}: give only one of them")
    logger = logging.getLogger(LOGGER)
    before = logger.level
    handler = _Lines(times=verbose)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    try:
        yield [word for word in words if word not in (QUIET, VERBOSE)]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def is_quiet() -> bool:
    """Whether the running command prints results and warnings only."""
    return logging.getLogger(LOGGER).getEffectiveLevel() > logging.INFO
