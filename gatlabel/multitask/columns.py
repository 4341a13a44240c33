"""Columns of a CSV file as the targets of tasks; an empty cell is not labelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gatlabel.data.csv_table import Table
from gatlabel.data.one_hot import read_columns
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.losses.classes import UNKNOWN_CLASS
from gatlabel.multitask.tasks import TaskOptions
from gatlabel.targets import Targets


@dataclass(frozen=True)
class Column:
    """The targets of one task for the N rows of a file.

    Attributes:
        outputs: Names of labels, classes or values.
        targets: N rows in the form of the kind of task.
        known: bool ``(N,)``: rows that are labelled for the task.
        kinds: For each row, the names by which new splits are stratified.
    """

    outputs: tuple[str, ...]
    targets: Tensor
    known: Tensor
    kinds: list[list[str]]

    @property
    def presence(self) -> Targets:
        """Which labels or classes are present: ``(N, L)``; not for numbers."""
        if self.targets.is_floating_point():
            return Targets.of(self.targets)
        found = torch.full((len(self.known), len(self.outputs)), float(UNKNOWN))
        found[self.known] = 0.0
        for row, names in enumerate(self.kinds):
            found[row, [self.outputs.index(name) for name in names]] = 1.0
        return Targets.of(found)


def read_column(table: Table, task: TaskOptions, separator: str) -> Column:
    """Reads the targets of a task.

    Args:
        table: The file.
        task: Its kind and columns.
        separator: Separator between labels in a cell.

    Raises:
        InputError: If a column is missing, a cell is wrong (the message names the line), or no row
            is labelled.
    """
    columns = task.column or ()
    for column in columns:
        table.require(column, task.kind)
    if task.kind == "regression":
        found = _numbers(table, columns)
    elif task.kind == "multilabel" and len(columns) > 1:
        found = _one_hot(table, columns)
    else:
        found = _READERS[task.kind](table, columns[0], separator, task)
    if not bool(found.known.any()):
        raise InputError(f"{table.path}: no row is labelled for the task {task.name!r}")
    return found


def refuse_own_columns(path: Path, task: TaskOptions, own: Mapping[str | None, str]) -> None:
    """Refuses targets in a column that says which image a row is of.

    Args:
        path: The file.
        task: The task.
        own: What these columns hold, by name.

    Raises:
        InputError: The message names the column.
    """
    for column in task.column or ():
        if column in own:
            raise InputError(
                f"{path}: task {task.name!r}: the column {column!r} holds {own[column]}, which is "
                "no target"
            )


def _numbers(table: Table, columns: Sequence[str]) -> Column:
    targets = torch.full((len(table.rows), len(columns)), torch.nan)
    for row, (line, cells) in enumerate(table.rows):
        for k, column in enumerate(columns):
            text = cells[column].strip()
            if not text:
                continue
            try:
                targets[row, k] = float("x" if "_" in text else text)  # Python takes 1_000
            except ValueError:
                targets[row, k] = math.inf
            if not math.isfinite(targets[row, k]):
                raise InputError(
                    f"{table.path}, line {line}, column {column!r}: {text!r} is not a number; "
                    "leave the cell empty if the value is unknown"
                )
    middle = targets.nanmedian(0).values
    kinds = [
        [f"{c}: high" for c, value, m in zip(columns, row, middle.tolist(), strict=True)
         if value >= m]
        for row in targets.tolist()
    ]  # fmt: skip
    return Column(tuple(columns), targets, ~targets.isnan().all(1), kinds)


def _one_hot(table: Table, columns: Sequence[str]) -> Column:
    labels = LabelSet(columns)
    targets = torch.from_numpy(np.nan_to_num(read_columns(table, columns), nan=UNKNOWN))
    kinds = [[labels[k] for k, v in enumerate(row) if v > 0] for row in targets.tolist()]
    return Column(labels.names, targets, (targets != UNKNOWN).any(1), kinds)


def _labels(table: Table, column: str, separator: str, task: TaskOptions) -> Column:
    cells = [_names(cells[column], separator) for _, cells in table.rows]
    labels = _label_set(table, column, cells)
    if set(labels) <= {"0", "1"}:
        raise InputError(
            f"{table.path}: the column {column!r} has 0 and 1, not names of labels: give the "
            f"columns of several labels, or make it a class ({task.name}=class:{column})"
        )
    targets = torch.full((len(cells), len(labels)), float(UNKNOWN))
    for row, names in enumerate(cells):
        if names is not None:
            targets[row] = 0.0
            targets[row, labels.positions(names)] = 1.0
    known = torch.tensor([names is not None for names in cells])
    return Column(labels.names, targets, known, [names or [] for names in cells])


def _classes(table: Table, column: str, separator: str, task: TaskOptions) -> Column:
    cells = [cells[column].strip() for _, cells in table.rows]
    for (line, _), name in zip(table.rows, cells, strict=True):
        if separator in name:
            raise InputError(
                f"{table.path}, line {line}, column {column!r}: {name!r} is not a class, which has "
                f"no {separator!r}; several labels are {task.name}=labels:{column}"
            )
    labels = _label_set(table, column, [[name] for name in cells if name])
    if len(labels) < 2:
        raise InputError(
            f"{table.path}: the column {column!r} names one class, {labels[0]!r}: there is nothing "
            "to tell apart"
        )
    numbers = [labels.index(name) if name else UNKNOWN_CLASS for name in cells]
    targets = torch.tensor(numbers)
    kinds = [[name] if name else [] for name in cells]
    return Column(labels.names, targets, targets != UNKNOWN_CLASS, kinds)


def _sequences(table: Table, column: str, separator: str, task: TaskOptions) -> Column:
    cells = [_names(cells[column], separator) for _, cells in table.rows]
    labels = _label_set(table, column, cells)
    longest = max(len(names or ()) for names in cells)
    length = task.length or max(longest, 1)
    targets = torch.full((len(cells), length), UNKNOWN_CLASS)
    for row, ((line, _), names) in enumerate(zip(table.rows, cells, strict=True)):
        where = f"{table.path}, line {line}, column {column!r}"
        if names is None:
            continue
        if len(set(names)) < len(names):
            raise InputError(f"{where}: a label occurs twice; in a sequence it may occur once")
        if len(names) > length:
            raise InputError(f"{where}: {len(names)} labels are more than length={length}")
        numbers = [*(labels.index(name) for name in names), len(labels)][:length]
        targets[row, : len(numbers)] = torch.tensor(numbers)
    known = (targets != UNKNOWN_CLASS).any(1)
    return Column(labels.names, targets, known, [names or [] for names in cells])


def _names(cell: str, separator: str) -> list[str] | None:
    """Returns the names in a cell: ``None`` if it is empty, ``[]`` for the separator alone."""
    if not cell.strip():
        return None
    return [name for part in cell.split(separator) if (name := part.strip())]


def _label_set(table: Table, column: str, cells: Sequence[Sequence[str] | None]) -> LabelSet:
    names = sorted({name for cell in cells for name in cell or ()})
    if not names:
        raise InputError(f"{table.path}: the column {column!r} contains no label")
    try:
        return LabelSet(names)
    except InputError as error:
        raise InputError(f"{table.path}, column {column!r}: {error}") from error


_READERS: dict[str, Callable[[Table, str, str, TaskOptions], Column]] = {
    "multilabel": _labels,
    "multiclass": _classes,
    "sequence": _sequences,
}
