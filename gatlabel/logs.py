"""Progress messages of the package: the logger ``gatlabel`` of Python's ``logging``.

Commands print its messages on standard error. In your own program they are silent, apart from
warnings, until you configure logging, for example with ``logging.basicConfig(level="INFO")``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

LOGGER = "gatlabel"
#: A function that reports one line of progress.
Log = Callable[[str], None]


def log(line: str) -> None:
    """Logs a line: as a warning if it starts with ``warning:``, otherwise as information."""
    text = line.removeprefix("warning: ")
    level = logging.INFO if text == line else logging.WARNING
    logging.getLogger(LOGGER).log(level, "%s", text)
