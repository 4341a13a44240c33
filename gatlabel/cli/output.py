"""What commands print: results to the standard output, notes to the error output, all cleaned."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from gatlabel.errors import InputError
from gatlabel.interruptions import uninterrupted
from gatlabel.printing import clean, clean_lines, console, json_text, show_warning
from gatlabel.printing import note as note

if TYPE_CHECKING:
    from rich.table import Table


class ReaderGone(Exception):  # noqa: N818 - no error: whoever read our output has had enough
    """The standard output is a pipe that nobody reads any more."""


def show(*lines: object) -> None:
    """Prints results, one cleaned line each."""
    _write("".join(f"{clean(line)}\n" for line in lines))


def show_block(text: str) -> None:
    """Prints text of several lines whose line breaks are our own."""
    _write(clean_lines(text.rstrip("\n")) + "\n")


def show_json(value: Any) -> None:
    """Prints a value as JSON that any terminal can show and any reader can parse."""
    _write(json_text(value, ascii_only=ascii_only()) + "\n")


def ascii_only() -> bool:
    """Whether the standard output is known to take ASCII characters only."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return not encoding.lower().replace("-", "").startswith("utf")


def show_lines(text: str) -> None:
    """Prints whole lines that are clean already, at once, also where a signal arrives meanwhile."""
    with uninterrupted():
        _write(text)
        finish()


def show_table(table: Table) -> None:
    """Prints a table that :func:`make_table` made."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    _write(captured.get())


def make_table(
    head: Sequence[str], title: str | None = None, caption: str | None = None, left: int = 1
) -> Table:
    """Returns an empty table for :func:`add_row`.

    Args:
        head: Names of the columns.
        title: Stands above, if given.
        caption: Stands below, if given.
        left: Columns of text, at the left; those after them are figures, set to the right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(
        # a title that is wider than the table would be broken into lines
        min_width=min(len(title or ""), 79) or None,
        title=None if title is None else Text(clean(title)),
        caption=None if caption is None else Text(clean(caption)),
    )
    for place, name in enumerate(head):
        justify = "left" if place < left else "right"
        table.add_column(Text(clean(name)), justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def add_row(table: Table, *cells: str, style: str | None = None) -> None:
    """Adds a row of cleaned cells."""
    from rich.text import Text

    table.add_row(*(Text(clean(cell)) for cell in cells), style=style)


def note_traceback(error: BaseException) -> None:
    """Prints the traceback of an exception to the error output, cleaned."""
    for block in traceback.format_exception(error):
        for line in block.rstrip("\n").split("\n"):
            note(line)


def _write(text: str) -> None:
    if sys.stdout is None:
        raise InputError("cannot write to the standard output: it is closed")
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _lost(error) from error
    _raise_lost()


def finish() -> None:
    """Writes out what is left in the buffer of the standard output.

    Raises:
        InputError: If that, or what a library wrote before, cannot be written, as on a full disk.
        ReaderGone: If nobody reads it any more.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _lost(error) from error
    _raise_lost()


def _raise_lost() -> None:
    if isinstance(sys.stdout, _Steady) and sys.stdout.lost is not None:
        raise _lost(sys.stdout.lost)


def _lost(error: OSError) -> Exception:
    _discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return ReaderGone()
    return InputError(f"cannot write to the standard output: {error.strerror or error}")


def _discard(stream: TextIO) -> None:
    """Lets a stream end nowhere, so that its buffer does not fail again when Python exits."""
    with suppress(OSError, ValueError, AttributeError):  # not every stream is of a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Steady:
    """An output that may go away: what cannot be written is dropped, and the fault remembered.

    Bars of libraries write to it in the midst of training, which goes on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = error
        if not isinstance(error, BlockingIOError):  # a full pipe is read again
            _discard(self._stream)


@contextmanager
def prepared_streams() -> Iterator[None]:
    """Makes both outputs and the warnings fit for any locale, terminal and text.

    Characters that the output's encoding lacks are written as escapes. Progress bars, notes and
    warnings, ours and those of libraries, do not end a command because the terminal is gone.
    """
    _open_closed_descriptors()
    with ExitStack() as undo, warnings.catch_warnings():
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                undo.callback(_set_errors, stream, stream.errors or "strict")
                _set_errors(stream, "backslashreplace")
        for name in ("stdout", "stderr"):
            if (stream := getattr(sys, name)) is not None:
                undo.callback(setattr, sys, name, stream)
                setattr(sys, name, _Steady(stream))
        warnings.showwarning = show_warning
        yield


def _set_errors(stream: Any, errors: str) -> None:
    with suppress(OSError, ValueError):  # it flushes, and the stream may be gone
        stream.reconfigure(errors=errors)


def _open_closed_descriptors() -> None:
    """Keeps the numbers of closed standard streams from files that are opened later."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
