"""Images listed in a CSV file, with labels in one column or in one column per label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gatlabel.data.annotations import Annotation, DifficultAs, build_splits, group_of, label_set
from gatlabel.data.csv_table import Table, read_table, sign
from gatlabel.data.one_hot import MinusOne, find_columns, read_columns, settle_minus_one
from gatlabel.data.repeated import averaged
from gatlabel.data.source import DataSplits
from gatlabel.data.splits import FRACTIONS, split_of
from gatlabel.errors import InputError, nearest
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
    group_column: str | None = None,
    unknown_column: str = "unknown",
    difficult_column: str = "difficult",
    difficult: DifficultAs = "unknown",
    minus_one: MinusOne | None = None,
    repeated: Literal["refuse", "average"] = "refuse",
    classes: str | os.PathLike[str] | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    evaluate_only: bool = False,
) -> DataSplits:
    """Reads a CSV file that lists images.

    Labels are either in one column (``cat|dog``; an empty cell means no labels) or in one column
    per label, with 1 present, 0 absent, -1 or empty unknown, and values in between for soft labels.
    The columns for split, unknown and difficult labels are optional.

    Args:
        root: The folder that image paths are relative to.
        file: The CSV file, relative to ``root``; UTF-8, first line the column names.
        image_column: Column with the image's path.
        label_column: Column with the labels that are present.
        label_columns: The columns of one-hot labels. Default, if there is no ``label_column``: the
            columns named in the label file, else all columns that contain such values, in which
            a single wrong cell is an error.
        separator: Separator between labels in a cell.
        delimiter: Delimiter between cells.
        split_column: Column with the split (``train``, ``val``, ``test`` and synonyms); ``None``
            ignores it. Without it, the images are split here.
        group_column: Column with the image's group (patient, place, video). Splits made here keep
            groups together, and a note reports groups divided by the file's own split.
        unknown_column: Column with the labels that are unknown (-1).
        difficult_column: Column with the labels whose objects are all difficult.
        difficult: Reading of difficult labels.
        minus_one: Meaning of -1 in one-hot columns. Default: unknown; required if no cell is 0 or
            between 0 and 1.
        repeated: Treatment of an image in several rows: refuse it, or average the known targets of
            the rows, such as those of several annotators.
        classes: A file with one label name per line, which defines the labels and their order.
            Default: ``classes.txt`` next to the CSV file, else the labels that occur, sorted.
        fractions: Shares of train, val and test if the data are split here.
        seed: Seed of that split.
        on_error: Treatment of missing image files: stop, or skip them with a note.
        evaluate_only: See :func:`~gatlabel.data.splits.complete_splits`.

    Raises:
        InputError: If a column, image, label or split is wrong; the message names the line.
    """
    path = Path(root) / file
    separator = sign(separator, "separator")
    table = read_table(path, sign(delimiter, "delimiter"))
    table.require(image_column, "image")
    if split_column is not None and split_column != "split":
        table.require(split_column, "split")  # given by the caller, so it must exist
    if group_column is not None:
        table.require(group_column, "group")
    if unknown_column != "unknown":
        table.require(unknown_column, "unknown")
    if difficult_column != "difficult":
        table.require(difficult_column, "difficult")
    special = {image_column, split_column, group_column, unknown_column, difficult_column}
    named = label_set(classes, beside=path)
    one_hot, notes = _one_hot_columns(table, label_column, label_columns, special, named)
    if one_hot:
        where = [f"{path}, line {line}" for line, _ in table.rows]
        columns = read_columns(table, one_hot)
        matrix, decisions = settle_minus_one(columns, one_hot, where, minus_one)
        notes += decisions
    else:
        _refuse_no_effect(table, minus_one, named, separator)
        matrix = None

    annotations = []
    for position, (line, row) in enumerate(table.rows):
        if matrix is None:
            values = dict.fromkeys(_names(row[label_column], separator), PRESENT)
        else:
            values = dict(zip(one_hot, matrix[position].tolist(), strict=True))
        at = f"{path}, line {line}"
        unsure = _names(row.get(unknown_column, ""), separator)
        hard = _names(row.get(difficult_column, ""), separator)
        if both := sorted(set(unsure) & set(hard)):
            raise InputError(f"{at}: label {both[0]!r} is both unknown and difficult")
        _mark(values, unsure, "unknown", at)
        _mark(values, hard, difficult, at)
        part = "all"
        if split_column is not None and split_column in table.columns:
            part = split_of(row[split_column], at)
        group = None if group_column is None else group_of(row[group_column], at)
        annotations.append(Annotation(row[image_column].strip(), values, part, at, group=group))
    if difficult_column in table.columns:
        count = sum(bool(_names(row[difficult_column], separator)) for _, row in table.rows)
        notes.append(f"difficult labels (in {count} images) are read as {difficult}")
    unlisted = UNKNOWN if one_hot else ABSENT
    if repeated == "average":
        annotations, several = averaged(annotations, unlisted)
        notes.append(f"{several} images in several rows: their targets are averaged")
    return build_splits(
        path.parent.name if path.stem == "labels" else path.stem,
        Path(root),
        annotations,
        named or (LabelSet(one_hot) if one_hot else None),
        unlisted=unlisted,
        notes=notes,
        fractions=fractions,
        seed=seed,
        on_error=on_error,
        evaluate_only=evaluate_only,
    )


def _one_hot_columns(
    table: Table,
    label_column: str,
    label_columns: Sequence[str] | None,
    special: set[str | None],
    named: LabelSet | None,
) -> tuple[list[str], list[str]]:
    """Returns the columns with one label each, or none if one column has all, and notes."""
    others = [column for column in table.columns if column not in special]
    if label_columns is not None:
        one_hot = list(label_columns)
        if not one_hot:
            raise InputError("label_columns names no column")
        for column in one_hot:
            table.require(column, "label")
            if column in special:
                raise InputError(f"{table.path}: the column {column!r} is not a label column")
    elif label_column in table.columns:
        one_hot, others = [], [column for column in others if column != label_column]
    elif named is not None:
        one_hot = [column for column in others if column in named]
    else:
        one_hot = find_columns(table, others)
    if not one_hot:
        table.require(label_column, "label")
    try:
        LabelSet(one_hot)
    except InputError as error:
        raise InputError(f"{table.path}: {error}") from error
    notes = []
    ignored = [column or "(no name)" for column in others if column not in one_hot]
    if ignored:
        optional = [column for column in special if column and column not in table.columns]
        hints = (nearest(column.casefold(), optional) for column in ignored)
        listed = (f"{column}{hint}" for column, hint in zip(ignored, hints, strict=True))
        notes.append(f"columns not read as labels: {', '.join(listed)}")
    without = [name for name in named or () if name not in one_hot] if one_hot else []
    if without:
        notes.append(f"classes without a column are unknown: {', '.join(without)}")
    return one_hot, notes


def _refuse_no_effect(
    table: Table, minus_one: MinusOne | None, named: LabelSet | None, separator: str
) -> None:
    if minus_one is not None:
        raise InputError(
            f"minus_one={minus_one}: {table.path} has its labels in one column, so no target is -1"
        )
    torn = next((name for name in named or () if separator in name), None)
    if torn is not None:
        raise InputError(
            f"the label {torn!r} contains the separator {separator!r} between labels in "
            f"{table.path}: give another separator"
        )


def _names(cell: str, separator: str) -> list[str]:
    return [name for part in cell.split(separator) if (name := part.strip())]


def _mark(values: dict[str, float], names: list[str], kind: DifficultAs, where: str) -> None:
    meaning = {"unknown": UNKNOWN, "positive": PRESENT, "negative": ABSENT}
    for name in names:
        if values.get(name, ABSENT) > ABSENT:
            raise InputError(
                f"{where}: label {name!r} is both present and unknown or difficult; "
                "list it in one column"
            )
        values[name] = meaning[kind]
