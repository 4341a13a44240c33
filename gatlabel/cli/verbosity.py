"""How much a command reports: ``--quiet``, ``--verbose``, and the handler of log messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gatlabel.errors import InputError
from gatlabel.logs import LOGGER
from gatlabel.printing import note

QUIET, VERBOSE, DEBUG = "--quiet", "--verbose", "--debug"
#: Options of every command, in any position, with their help.
GENERAL = {
    QUIET: "Print results and warnings only",
    VERBOSE: "Also print details, with times",
    DEBUG: "Also print the traceback of an error",
}


class _Lines(logging.Handler):
    """Prints messages as lines on standard error: warnings with a prefix, optionally with times."""

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
        words: The command line, with ``--quiet`` and ``--verbose`` in any position.

    Yields:
        The command line without these options.

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
