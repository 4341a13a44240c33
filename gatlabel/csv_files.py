"""CSV files that spreadsheets do not execute and that can be read back unchanged."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError
from gatlabel.files import atomic_path
from gatlabel.printing import clean
from gatlabel.reading import read_text

# First characters of formulas in spreadsheets, in both widths of Chinese and Japanese fonts.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def guarded(cell: str) -> str:
    """Prefixes a text cell with an apostrophe if a spreadsheet would treat it as a formula.

    Numbers are unchanged, and :func:`unguarded` restores the text.

    Example:
        >>> guarded("=cmd()"), guarded("-0.5"), guarded("cat")
        ("'=cmd()", '-0.5', 'cat')
    """
    if not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def unguarded(cell: str) -> str:
    """Reverses :func:`guarded`."""
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
    """Writes a CSV file atomically; missing values are left empty.

    Text cells are cleaned of control characters (see :func:`gatlabel.printing.clean`) and guarded;
    numbers are written as by ``str``.

    Args:
        path: The file.
        columns: The column names, in order; other keys of rows are ignored.
        rows: One mapping from column to value per row.

    Raises:
        InputError: If the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(guarded(clean(name)) for name in columns)
        for row in rows:
            writer.writerow(_cell(row.get(name, "")) for name in columns)


def write_curves(
    path: Path, rows: Sequence[Mapping[str, float]], *, make_folder: bool = True
) -> None:
    """Writes learning curves: one row per epoch, one column per name in any of the rows.

    Args:
        path: The file, which is written atomically.
        rows: Numbers by name; missing numbers are written as empty cells.
        make_folder: Whether to create the folder if it is missing.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        atomic_path(path, make_folder=make_folder) as temporary,
        temporary.open("w", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def read_curves(path: Path) -> list[dict[str, float]]:
    """Reads learning curves, which a run without epochs does not have.

    Raises:
        InputError: If the file cannot be read.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            return [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float) else guarded(clean(value))


def read_rows(path: str | os.PathLike[str], what: str) -> list[dict[str, str]]:
    """Reads the rows of a CSV file written by :func:`write_csv`.

    Args:
        path: The file.
        what: Description of the file for error messages.

    Returns:
        Text by column, one dict per row.

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
