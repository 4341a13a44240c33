"""CSV files as rows of named cells, with the line number of each row."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from gatlabel.errors import InputError, nearest
from gatlabel.files import read_text
from gatlabel.values import shown


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        path: The file.
        columns: Their names, without duplicates.
        rows: Line number (the first line of the row) and cells by column.
    """

    path: Path
    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]

    def require(self, column: str, kind: str) -> None:
        """Checks that a column exists.

        Raises:
            InputError: If it does not; the message names the nearest column.
        """
        if column in self.columns:
            return
        hint = nearest(column, self.columns)
        if len(self.columns) == 1 and (
            sign := next((s for s in ";\t|," if s in self.columns[0]), "")
        ):
            hint = f"; is the delimiter {sign!r}?"
        raise InputError(
            f"{self.path} has no {kind} column {column!r}{hint} (columns: "
            f"{', '.join(self.columns)})"
        )


def read_table(path: Path, delimiter: str) -> Table:
    """Reads a CSV file, UTF-8, whose first line names the columns.

    Args:
        path: The file.
        delimiter: Delimiter between cells, one character.

    Raises:
        InputError: If the file cannot be read or is empty, a column has no name or a duplicate
            one, or a row has a different number of cells; the message names the line.
    """
    # rows end at line breaks of any system, and at no other separators
    lines = io.StringIO(read_text(path, "CSV file"), newline=None)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    start = 1
    try:
        for cells in reader:
            first, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip() for cell in cells]
                twice = sorted({name for name in columns if name and columns.count(name) > 1})
                if twice:
                    raise InputError(f"{path}, line {first}: two columns named {twice[0]!r}")
            elif len(cells) != len(columns):
                raise InputError(
                    f"{path}, line {first}: {len(cells)} cells, but the first line "
                    f"names {len(columns)} columns"
                )
            else:
                rows.append((first, cells))
    except csv.Error as error:
        raise InputError(f"{path}, line {start}: {error}") from error
    if not rows:
        raise InputError(f"{path} lists no images")
    return _named(path, columns, rows)


def _named(path: Path, columns: list[str], rows: list[tuple[int, list[str]]]) -> Table:
    """Removes columns without name and content, as caused by a comma at the end of all lines."""
    kept = [k for k, name in enumerate(columns) if name or any(row[k].strip() for _, row in rows)]
    nameless = [k for k in kept if not columns[k]]
    if len(nameless) > 1:
        two = " and ".join(str(k + 1) for k in nameless[:2])
        raise InputError(f"{path}: the columns {two} have no name")
    names = [columns[k] for k in kept]
    return Table(
        path,
        names,
        [(line, dict(zip(names, (row[k] for k in kept), strict=True))) for line, row in rows],
    )


def sign(text: str, option: str) -> str:
    r"""Returns the delimiter or separator; ``\t``, as passed by a shell, becomes a tab.

    Args:
        text: The given value.
        option: ``"delimiter"`` (one character) or ``"separator"`` (any text).

    Raises:
        InputError: If it is empty or invalid.
    """
    text = {r"\t": "\t"}.get(text, text)
    longest = 1 if option == "delimiter" else 20
    if not 1 <= len(text) <= longest or any(character in text for character in '\n\r\0"'):
        what = "one character" if longest == 1 else "text of one to 20 characters"
        raise InputError(
            f"{option}={shown(text)}: give {what} without quotation marks or line breaks; "
            r"\t is a tab"
        )
    return text
