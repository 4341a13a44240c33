"""Text for terminals, pages and tables, without control characters.

Names of labels, files and data sets are untrusted text. An escape sequence in one could move the
cursor, or recolour or retitle the terminal; a bidirectional override could show another name.
:func:`clean` makes both visible. All printed text passes through it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

# C0 and C1 controls and DEL; soft hyphen and other characters without a glyph; marks, overrides and
# isolates of the writing direction; line and paragraph separators; byte order mark, interlinear
# annotations, tags; unpaired surrogates (file names that are not UTF-8).
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_unsafe = re.compile(f"[{_UNSAFE}]")

NARROWEST, WIDEST = 40, 1000
"""Limits of the width of printed text in columns, whatever the terminal reports."""


def clean(value: object, *, replacement: str | None = None, keep: str = "") -> str:
    r"""Returns text on one line whose invisible characters are written as escapes.

        value: Any text, or a value that ``str`` converts.
        replacement: Text that replaces the characters, instead of escapes.
        keep: Characters to keep.

    Returns:
        The text with every control character, line break, direction mark, character without width
        and unpaired surrogate as ``\x1b``, ``\n`` or ``\u202e``.

    Example:
        >>> clean("cat\x1b[31m")
        'cat\\x1b[31m'
    """

    def visible(found: re.Match[str]) -> str:
        if found[0] in keep:
            return found[0]
        escape = found[0].encode("unicode_escape").decode("ascii")
        return escape if replacement is None else replacement

    return _unsafe.sub(visible, str(value))


def clean_lines(text: str) -> str:
    """Returns text of several lines, each cleaned; for text with line breaks of this package."""
    return "\n".join(clean(line) for line in text.split("\n"))


def clipped(text: str, most: int = 2000) -> str:
    """Returns text without its middle if it is longer than ``most``."""
    if len(text) <= most:
        return text
    end = most // 5
    return f"{text[: most - end - 3]} … {text[-end:]}"


def json_text(value: Any, *, indent: int | None = 1, ascii_only: bool = False) -> str:
    """Returns JSON that is safe to print: invisible characters become JSON escapes.

    Args:
        value: A JSON value; NaN and infinity become ``null``, as JSON has neither.
        indent: Spaces of indentation; ``None`` writes one line.
        ascii_only: Escape all non-ASCII characters too, for a terminal without UTF-8.
    """
    text = json.dumps(finite_values(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    return "\n".join(_unsafe.sub(_json_escape, line) for line in text.split("\n"))


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def finite_values(value: Any) -> Any:
    """Returns a JSON value with ``None`` for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite_values(each) for each in value]
    return None if isinstance(value, float) and value - value != 0 else value


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Returns a console that prints text unchanged: no markup, no emoji names, a fixed width.

    Args:
        stderr: Whether it prints to standard error.
        width: Width in columns; by default that of the terminal.
    """
    from rich.console import Console

    lines = shutil.get_terminal_size().lines
    return Console(
        stderr=stderr,
        width=width or terminal_width(),
        height=max(lines, 1),
        markup=False,
        emoji=False,
        highlight=False,
    )


def terminal_width() -> int:
    """Returns the width of the terminal in columns, from 40 to 1000; 80 if it is unknown."""
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)


def fitted(line: str, stream: Literal["stdout", "stderr"]) -> str:
    """Wraps a line at blanks to the width of the terminal, with hanging indentation.

    Parts that are separated by two or more blanks are kept together if possible. Words and paths
    are never cut. For a file or a pipe the line is returned unchanged.
    """
    width = terminal_width()
    if len(line) <= width or not on_terminal(stream):
        return line
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    first, *others = re.split(r"(?<=\S) {2,}", line)
    rows = [first]
    for part in others:
        if len(rows[-1]) + 2 + len(part) <= width:
            rows[-1] += f"  {part}"
        else:
            rows.append(indent + part)
    wrap = textwrap.TextWrapper(
        width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(map(wrap.fill, rows))


def note(line: object) -> None:
    """Prints one cleaned line to standard error, wrapped on a terminal.

    A closed terminal is not an error.
    """
    put(f"{fitted(clean(line), 'stderr')}\n", "stderr")


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Prints a warning as one line, without the source file and line.

    It replaces ``warnings.showwarning``.
    """
    note(f"warning: {' '.join(str(message).split())}")


def on_terminal(stream: Literal["stdout", "stderr"]) -> bool:
    """Whether a stream is a terminal, not a file or a pipe."""
    output = getattr(sys, stream)
    return output is not None and bool(output.isatty())


def put(text: str, stream: Literal["stdout", "stderr"]) -> None:
    """Prints cleaned text without adding a line break, if the stream is open.

    A carriage return at the beginning is kept: it overwrites the line on a terminal.
    """
    output = getattr(sys, stream)
    if output is None:
        return
    start = "\r" if text.startswith("\r") else ""
    with suppress(OSError, ValueError):  # the terminal may be gone
        output.write(start + clean_lines(text.removeprefix("\r")))
        output.flush()
