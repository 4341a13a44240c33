"""HTML from values, with all user-provided text escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from gatlabel.printing import clean


def text(value: object) -> str:
    """Returns text escaped for HTML, between tags or in a quoted attribute.

    Invisible characters except tabs and line breaks become the replacement character. UTF-8 cannot
    encode unpaired surrogates (in file names that are not UTF-8), HTML forbids control characters,
    and direction marks would reverse the text after a name.
    """
    return html.escape(clean(value, replacement="\N{REPLACEMENT CHARACTER}", keep="\t\n"))


def number(value: float, digits: int = 3) -> str:
    """Returns a number for tables: integers in full, others rounded, NaN as a dash."""
    value = float(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == int(value) and abs(value) >= 2:
        return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")
    if value != 0 and abs(value) < 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:.{digits}f}".replace("-", "−")


def significant(value: float) -> str:
    """Returns a finite number with three significant digits: 0.562, 1.5e−05, 12."""
    return f"{value:.3g}".replace("-", "−")


def percent(share: float) -> str:
    """Returns a share (0 to 1) in per cent, with more digits if it is small."""
    if math.isnan(share):
        return "–"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


class Cell(NamedTuple):
    """A table cell: its HTML and, for numbers, the value to sort by."""

    shown: str
    value: float | None = None


def text_cell(value: object) -> Cell:
    """Returns a cell of escaped text."""
    return Cell(text(value))


def number_cell(value: float, digits: int = 3) -> Cell:
    """Returns a right-aligned cell that sorts by its value."""
    return Cell(number(value, digits), float(value))


def bar_cell(value: float) -> Cell:
    """Returns a number (0 to 1) with a small bar under it."""
    if math.isnan(value):
        return Cell("–", value)
    width = 100 * min(max(value, 0.0), 1.0)
    return Cell(
        f'{number(value)}<span class="bar"><i style="width:{width:.1f}%"></i></span>', value
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str, sortable: bool = True
) -> str:
    """Returns a table in a scrollable box, with columns sortable by clicking on their heads.

    Args:
        head: Column names (plain text).
        rows: Cells, ``len(head)`` per row.
        caption: Description of the table, also for screen readers.
        sortable: Whether the heads are buttons.
    """
    numeric = [any(row[k].value is not None for row in rows) for k in range(len(head))]
    heads = "".join(
        f'<th scope="col"{_number_class(numeric[k])}>'
        + (f'<button type="button">{text(name)}</button>' if sortable else text(name))
        + "</th>"
        for k, name in enumerate(head)
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, numeric[k]) for k, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f"<table{' data-sortable' if sortable else ''}><caption><span>{text(caption)}</span>"
        "</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table></div>\n"
    )


def _number_class(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _cell(cell: Cell, numeric: bool) -> str:
    if cell.value is None:
        return f"<td{_number_class(numeric)}>{cell.shown}</td>"
    value = "" if math.isnan(cell.value) else f"{cell.value:.9g}"
    return f'<td class="n" data-value="{value}">{cell.shown}</td>'


def section(anchor: str, title: str, *parts: str) -> str:
    """Returns a section of the page, or an empty text if it has no contents."""
    body = "".join(parts)
    if not body:
        return ""
    return f'<section id="{anchor}"><h2>{text(title)}</h2>\n{body}</section>\n'


def anchor_of(name: str, task: str = "") -> str:
    """Returns the anchor of a section, in a report of several tasks one for each task."""
    return f"{name}-{task.lower()}" if task else name


def figure(drawing: str, caption: str, kind: str = "") -> str:
    """Returns a drawing with its caption (plain text)."""
    return f'<figure class="{kind}">{drawing}<figcaption>{text(caption)}</figcaption></figure>\n'
