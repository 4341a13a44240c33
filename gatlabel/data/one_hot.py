"""Targets given as one number per image and label: columns of a CSV file, multi-hot lists.

Data sets write absence as 0 or as -1 (CelebA), but also use -1 for unknown. If a file does not
determine the meaning, that is an error, since the wrong reading would go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.csv_table import Table
from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN
from gatlabel.values import first_few

MinusOne = Literal["absent", "unknown"]

#: An empty cell, which is unknown whatever -1 means.
EMPTY = float("nan")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORDS = {"": EMPTY, "true": PRESENT, "false": ABSENT}
# Cells that are not targets, but were probably meant as such.
_MEANT = re.compile(
    r"yes|no|on|off|\?|--?|na|n/a|[+-]?nan|[+-]?inf(inity)?|none|null|unknown|absent|present|"
    r"[+-]?[01]?,\d+|\d+(\.\d+)? ?%",
    re.ASCII,
)
_LETTERS = ({"y", "n"}, {"t", "f"}, {"x"}, {"+", "-"})


def target_of(cell: str) -> float | None:
    """Returns 0 to 1, -1, or NaN for an empty cell; ``None`` if the cell is not a target."""
    text = cell.strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    value = float(text) if _NUMBER.fullmatch(text) else UNKNOWN - 1
    return value if ABSENT <= value <= PRESENT or value == UNKNOWN else None


def find_columns(table: Table, candidates: Sequence[str]) -> list[str]:
    """Returns the columns that contain targets.

    Single wrong cells do not disqualify a column: it is skipped only if most of its cells are
    neither targets nor probable targets (``yes``, ``0,7``).

    Raises:
        InputError: If such a column has no name.
    """
    found = [c for c in candidates if _is_meant([row[c].strip().lower() for _, row in table.rows])]
    if "" in found:
        number = table.columns.index("") + 1
        raise InputError(f"{table.path}: column {number} has no name but contains targets")
    return found


def _is_meant(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    if any(letters.issuperset(filled) for letters in _LETTERS):
        return True
    numbers = [int(cell) for cell in filled if cell.isdecimal() and len(cell) < 10]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(filled))):
        return False  # 0, 1, 2, …: the index that pandas writes
    meant = sum(target_of(cell) is not None or bool(_MEANT.fullmatch(cell)) for cell in filled)
    return 2 * meant >= len(filled)


def read_columns(table: Table, columns: Sequence[str]) -> NDArray[np.float32]:
    """Reads targets ``(N, C)``: 0 to 1, -1, or NaN for an empty cell.

    Raises:
        InputError: If a cell is not a target; the message names line, column and cell.
    """
    targets = np.empty((len(table.rows), len(columns)), np.float32)
    for position, (line, row) in enumerate(table.rows):
        for k, column in enumerate(columns):
            value = target_of(row[column])
            if value is None:
                raise InputError(
                    f"{table.path}, line {line}, column {column!r}: {row[column]!r} is not a "
                    "target; expected 0 to 1, or -1 for unknown. If the column is not a label, "
                    "list the label columns in label-columns"
                )
            targets[position, k] = value
    return targets


def settle_minus_one(
    targets: NDArray[np.float32],
    names: Sequence[str],
    where: Sequence[str],
    minus_one: MinusOne | None,
) -> tuple[NDArray[np.float32], list[str]]:
    """Decides the meaning of -1, and makes empty cells unknown.

    Args:
        targets: ``(N, C)``: 0 to 1, -1, or NaN for an empty cell.
        names: The C labels.
        where: File and line of the N rows.
        minus_one: Meaning of -1; ``None`` means unknown if 0 or values in between mark absence.

    Returns:
        float32 ``(N, C)``: 0 to 1, or -1 for unknown; and sentences on the decisions.

    Raises:
        InputError: If there are -1 and no 0, and ``minus_one`` is ``None``.
    """
    is_minus_one = targets == UNKNOWN
    empty = np.isnan(targets)
    settled = np.where(empty, np.float32(UNKNOWN), targets)
    notes = [f"empty cells are read as unknown ({empty.sum()})"] if empty.any() else []
    if not is_minus_one.any():
        unused = [f"no target is -1: minus-one {minus_one} has no effect"] if minus_one else []
        return settled, notes + unused
    if minus_one == "absent":
        notes.append("-1 is read as absent")
        return np.where(is_minus_one, np.float32(ABSENT), settled), notes
    below_one = (targets >= ABSENT) & (targets < PRESENT)
    if minus_one is None and not below_one.any():
        row, column = np.argwhere(is_minus_one)[0]
        raise InputError(
            f"{where[row]}, label {names[column]!r}: there are targets of -1, and none of 0, so -1 "
            "may be absent or unknown; set minus-one to absent or unknown"
        )
    open_ = np.flatnonzero(is_minus_one.any(0) & ~below_one.any(0))
    decision = "-1 is read as unknown"
    if minus_one is None and len(open_):
        shown = first_few([names[k] for k in open_.tolist()])
        decision += (
            f", also for labels without any 0 ({shown}); minus-one absent reads it as absent"
        )
    return settled, [*notes, decision]
