"""Pictures listed in a CSV file, with the labels in one column or one column a label."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatlabel.data.annotations import Annotation, DifficultAs, build_splits, label_set
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS, split_of
from gatlabel.errors import InputError, nearest
from gatlabel.files import read_text
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN, LabelSet


def read_csv(
    root: str | os.PathLike[str],
    file: str | os.PathLike[str] = "labels.csv",
    *,
    image_column: str = "image",
    label_column: str = "labels",
    label_columns: Sequence[str] | None = None,
    separator: str = "|",
    delimiter: str = ",",
    split_column: str | None = "split",
    unknown_column: str = "unknown",
    difficult_column: str = "difficult",
    difficult: DifficultAs = "unknown",
    classes: str | os.PathLike[str] | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
) -> DataSplits:
    """Reads a CSV file that lists pictures.

    The labels stand in one column (``cat|dog``; an empty cell: none of them), or, if there is no
    such column, each in a column of its own with 1 present, 0 absent, -1 or empty unknown, and
    values between for soft labels. The columns for split, unknown and difficult are optional.

    Args:
        root: The folder that picture paths are relative to.
        file: The CSV file, relative to ``root``; UTF-8, first line the column names.
        image_column: Column with the picture's path.
        label_column: Column with the labels that are present.
        label_columns: The columns of one-hot labels. Default: if there is no ``label_column``,
            the columns named by the label file, else all columns with such values.
        separator: What stands between labels in a cell.
        delimiter: What stands between cells.
        split_column: Column with the split (``train``, ``val``, ``test`` and their like);
            ``None``: pay no heed to it. Without it, the pictures are split here.
        unknown_column: Column with the labels of which nothing is known (-1).
        difficult_column: Column with the labels whose objects are all hard to tell.
        difficult: What a difficult label is read as.
        classes: A file with one label name a line, which gives the labels and their order.
            Default: ``classes.txt`` beside the CSV file, else the labels seen, sorted.
        fractions: Shares of train, val and test where the split is made here.
        seed: Seed of that split.
        on_error: What to do about missing picture files: stop, or leave them out and say so.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If a column, picture, label or split is wrong; the message names the line.
    """
    path = Path(root) / file
    table = _read_table(path, delimiter)
    table.require(image_column, "image")
    if split_column is not None and split_column != "split":
        table.require(split_column, "split")  # named by the caller, so it has to be there
    if unknown_column != "unknown":
        table.require(unknown_column, "unknown")
    if difficult_column != "difficult":
        table.require(difficult_column, "difficult")
    special = {image_column, split_column, unknown_column, difficult_column}
    named = label_set(classes, beside=path)
    notes: list[str] = []
    one_hot: list[str] = []
    if label_columns is not None:
        for column in label_columns:
            table.require(column, "label")
        one_hot = list(label_columns)
    elif label_column not in table.columns:
        others = [column for column in table.columns if column not in special]
        one_hot = [
            column
            for column in others
            if (named is None or column in named) and table.holds_targets(column)
        ]
        if not one_hot:
            table.require(label_column, "label")
        ignored = [column for column in others if column not in one_hot]
        if ignored:
            notes.append(f"columns not read as labels: {', '.join(ignored)}")

    annotations = []
    for line, row in table.rows:
        values: dict[str, float] = {}
        for column in one_hot:
            values[column] = _target(row[column], f"{path}, line {line}, column {column!r}")
        if not one_hot:
            values = dict.fromkeys(_names(row[label_column], separator), PRESENT)
        where = f"{path}, line {line}"
        _mark(values, _names(row.get(unknown_column, ""), separator), "unknown", where)
        hard = _names(row.get(difficult_column, ""), separator)
        _mark(values, hard, difficult, where)
        part = "all"
        if split_column is not None and split_column in table.columns:
            part = split_of(row[split_column], where)
        annotations.append(Annotation(row[image_column].strip(), values, part, where))
    if difficult_column in table.columns:
        count = sum(bool(_names(row[difficult_column], separator)) for _, row in table.rows)
        notes.append(f"difficult labels (in {count} pictures) are read as {difficult}")
    return build_splits(
        path.parent.name if path.stem == "labels" else path.stem,
        Path(root),
        annotations,
        named or (LabelSet(one_hot) if one_hot else None),
        unlisted=UNKNOWN if one_hot else ABSENT,
        notes=notes,
        fractions=fractions,
        seed=seed,
        on_error=on_error,
        evaluate_only=evaluate_only,
    )


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]

    def require(self, column: str, kind: str) -> None:
        if column not in self.columns:
            hint = nearest(column, self.columns)
            raise InputError(
                f"{self.path} has no {kind} column {column!r}{hint} (columns: "
                f"{', '.join(self.columns)})"
            )

    def holds_targets(self, column: str) -> bool:
        try:
            for _, row in self.rows:
                _target(row[column], "")
        except InputError:
            return False
        return True


def _read_table(path: Path, delimiter: str) -> _Table:
    text = read_text(path, "CSV file")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    columns: list[str] = []
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip() for cell in cells]
                twice = {name for name in columns if columns.count(name) > 1}
                if twice:
                    raise InputError(f"{path} has two columns named {min(twice)!r}")
            elif len(cells) != len(columns):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but the first line "
                    f"names {len(columns)} columns"
                )
            else:
                rows.append((reader.line_num, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"{path} lists no pictures")
    return _Table(path, columns, rows)


def _names(cell: str, separator: str) -> list[str]:
    return [name for part in cell.split(separator) if (name := part.strip())]


def _target(cell: str, where: str) -> float:
    text = cell.strip().lower()
    words = {"": UNKNOWN, "true": PRESENT, "false": ABSENT}
    try:
        value = words[text] if text in words else float(text)
    except ValueError:
        value = float("nan")
    if not (ABSENT <= value <= PRESENT or value == UNKNOWN):
        raise InputError(f"{where}: {cell!r} is no target; expected 0 to 1, or -1 for unknown")
    return value


def _mark(values: dict[str, float], names: list[str], kind: DifficultAs, where: str) -> None:
    meaning = {"unknown": UNKNOWN, "positive": PRESENT, "negative": ABSENT}
    for name in names:
        if values.get(name, ABSENT) == PRESENT:
            raise InputError(
                f"{where}: label {name!r} is both present and unknown or difficult; "
                "list it in one column"
            )
        values[name] = meaning[kind]
