"""A full disk during a run, whichever library meets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatlabel.atomic import disk_fault
from gatlabel.errors import InputError
from gatlabel.files import WriteError


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full disk into one line, whichever library met it (TensorBoard's, for example).

    Raises:
        WriteError: If the block raises what a disk is the cause of.
    """
    shown = threading.excepthook

    def show(failure: threading.ExceptHookArgs) -> None:
        # a thread that writes logs passes its error on, and would print it with a traceback too
        if failure.exc_value is None or disk_fault(failure.exc_value) is None:
            shown(failure)

    threading.excepthook = show
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = disk_fault(error)
        if reason is None:
            raise
        raise WriteError(f"cannot write the run folder {folder}: {reason}") from error
    finally:
        threading.excepthook = shown
