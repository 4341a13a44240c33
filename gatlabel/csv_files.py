"""CSV files that spreadsheets do not execute, and that read back as what was written."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gatlabel.errors import InputError
from gatlabel.files import atomic_path
from gatlabel.printing import clean
from gatlabel.reading import read_text

# What a spreadsheet takes for a formula, in both widths of Chinese and Japanese fonts.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def guarded(cell: str) -> str:
    """Returns a text cell that no spreadsheet takes for a formula: an apostrophe stands before it.

    Numbers stay as they are, and :func:`unguarded` gives back the text.

    Example:
        >>> guarded("=cmd()"), guarded("-0.5"), guarded("cat")
        ("'=cmd()", '-0.5', 'cat')
    """
    if not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def unguarded(cell: str) -> str:
    """Returns the text that :func:`guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def write_csv(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Writes a CSV file as a whole; what a row lacks is left empty.

    Text cells are cleaned of control characters (see :func:`gatlabel.printing.clean`) and guarded;
    numbers are written as ``str`` gives them.

    Args:
        path: The file.
        columns: Their names, in order; what else rows hold is left out.
        rows: One mapping from column to value per row.

    Raises:
        InputError: If the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(guarded(clean(name)) for name in columns)
        for row in rows:
            writer.writerow(_cell(row.get(name, "")) for name in columns)


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float) else guarded(clean(value))


def read_rows(path: str | os.PathLike[str], what: str) -> list[dict[str, str]]:
    """Reads the rows of a CSV file that :func:`write_csv` wrote.

    Args:
        path: The file.
        what: What it should be, in words, for error messages.

    Returns:
        Text by column, a dict per row.

    Raises:
        InputError: If the file cannot be read, or a row has more or fewer cells than there are
            columns; the message names the line.
    """
    reader = csv.reader(io.StringIO(read_text(path, what), newline=""), strict=True)
    rows: list[dict[str, str]] = []
    try:
        columns = [unguarded(name) for name in next(reader, [])]
        for cells in reader:
            if len(cells) != len(columns):
                raise InputError(
                    f"the {what} {os.fspath(path)}, line {reader.line_num}: {len(cells)} cells for "
                    f"{len(columns)} columns"
                )
            rows.append(dict(zip(columns, map(unguarded, cells), strict=True)))
    except csv.Error as error:
        raise InputError(
            f"the {what} {os.fspath(path)}, line {reader.line_num}: {error}"
        ) from error
    return rows
