"""Output of commands: results on standard output, notes on standard error, all cleaned."""

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
from gatlabel.printing import (
    WIDEST,
    clean,
    clean_lines,
    console,
    fitted,
    json_text,
    on_terminal,
    put,
    show_warning,
)
from gatlabel.printing import note as note

if TYPE_CHECKING:
    from rich.table import Table


class ReaderClosed(Exception):  # noqa: N818 - not an error: the reader has all it needs
    """Standard output is a pipe whose reader has closed it."""


def show(*lines: object) -> None:
    """Prints results, one cleaned line each; lines are wrapped on a terminal."""
    _write("".join(f"{fitted(clean(line), 'stdout')}\n" for line in lines))


def show_block(text: str) -> None:
    """Prints text of several lines, keeping its line breaks."""
    _write(clean_lines(text.rstrip("\n")) + "\n")


def show_json(value: Any) -> None:
    """Prints a value as valid JSON, escaped as the terminal requires."""
    _write(json_text(value, ascii_only=ascii_only()) + "\n")


def ascii_only() -> bool:
    """Whether standard output is limited to ASCII characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return not encoding.lower().replace("-", "").startswith("utf")


def show_lines(text: str, *, wrap: bool = False) -> None:
    """Prints cleaned lines at once; a signal is delayed until they are complete.

    Args:
        text: The lines, with their line breaks.
        wrap: Whether to wrap long lines on a terminal.
    """
    if wrap:
        text = "\n".join(fitted(line, "stdout") for line in text.split("\n"))
    with uninterrupted():
        _write(text)
        finish()


def show_table(table: Table) -> None:
    """Prints a table created by :func:`make_table`, without breaking words.

    If the terminal is too narrow for the columns, each row is printed as its first cell and a line
    of the others with their column names. Outside a terminal the width is not limited.
    """
    from rich.measure import Measurement

    screen = console(width=None if on_terminal("stdout") else WIDEST)
    title, caption = table.title, table.caption
    table.title = table.caption = None  # rich would break long words in them
    needed = Measurement.get(screen, screen.options.update_width(WIDEST), table).minimum
    if title is not None:
        show(title)
    if needed > screen.width:
        show(*_stacked(table))
    else:
        with screen.capture() as captured:
            screen.print(table)
        _write(captured.get())
    if caption is not None:
        show(caption)


def _stacked(table: Table) -> Iterator[str]:
    head = [str(column.header) for column in table.columns]
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = map(str, cells)
        yield first
        named = zip(head[1:], others, strict=True)
        parts = [f"{name} {cell}".strip() for name, cell in named if cell]
        yield "  " + ",  ".join(parts)  # two blanks: see fitted


def make_table(
    head: Sequence[str], title: str | None = None, caption: str | None = None, left: int = 1
) -> Table:
    """Returns an empty table for :func:`add_row`.

    Args:
        head: Names of the columns.
        title: Text above the table.
        caption: Text below the table.
        left: Number of left-aligned text columns; the numeric columns after them are
            right-aligned.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, caption=caption)
    for place, name in enumerate(head):
        justify = "left" if place < left else "right"
        table.add_column(Text(clean(name)), justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def add_row(table: Table, *cells: str, style: str | None = None) -> None:
    """Adds a row of cleaned cells."""
    from rich.text import Text

    table.add_row(*(Text(clean(cell)) for cell in cells), style=style)


def note_traceback(error: BaseException) -> None:
    """Prints the traceback of an exception to standard error, cleaned."""
    put("".join(traceback.format_exception(error)), "stderr")


def _write(text: str) -> None:
    if sys.stdout is None:
        raise InputError("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _lost(error) from error
    _raise_lost()


def finish() -> None:
    """Flushes standard output.

    Raises:
        InputError: If this or an earlier write of a library failed, for example on a full disk.
        ReaderClosed: If the reader of the pipe has closed it.
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
        return ReaderClosed()
    return InputError(f"cannot write to standard output: {error.strerror or error}")


def _discard(stream: TextIO) -> None:
    """Redirects a stream to the null device, so that flushing at exit does not fail again."""
    with suppress(OSError, ValueError, AttributeError):  # not every stream has a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Steady:
    """A stream whose write errors are recorded instead of raised.

    Progress bars of libraries write to it during training, which must not end on such an error.
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
        if not isinstance(error, BlockingIOError):  # a full pipe may be read later
            _discard(self._stream)


@contextmanager
def prepared_streams() -> Iterator[None]:
    """Prepares both output streams and warnings for any locale, terminal and text.

    Characters that the encoding of a stream lacks are written as escapes. Progress bars, notes and
    warnings, also of libraries, do not end a command if the terminal is closed.
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
    with suppress(OSError, ValueError):  # it flushes, and the stream may be closed
        stream.reconfigure(errors=errors)


def _open_closed_descriptors() -> None:
    """Opens closed standard streams on the null device, so that no later file gets their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
