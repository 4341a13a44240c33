"""Labels in the entries of a JSON file: names, positions, or one number per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatlabel.data.one_hot import MinusOne, settle_minus_one
from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN, LabelSet
from gatlabel.values import shown

Targets = Mapping[str, float]


@dataclass(frozen=True)
class Given:
    """The labels of one image as given in an entry.

    Attributes:
        labels: Names, positions or one number per class; a single value becomes a list.
        order: The classes that positions refer to, if known.
        where: File and entry.
    """

    labels: Sequence[Any]
    order: LabelSet | None
    where: str

    @classmethod
    def of(cls, entry: Mapping[str, Any], order: LabelSet | None, where: str) -> Given:
        """Reads the labels of an entry.

        Raises:
            InputError: If it has none.
        """
        given = entry.get("gt_label")
        if "gt_label" not in entry or not isinstance(given, list | str | int) or given is True:
            raise InputError(f"{where}: 'gt_label' has to be a list of positions or names")
        return cls(given if isinstance(given, list) else [given], order, where)

    @property
    def may_be_multi_hot(self) -> bool:
        """Whether there is one number per class, each 0 to 1, or -1."""
        return (
            self.order is not None
            and len(self.labels) == len(self.order)
            and all(
                isinstance(label, int | float) and (ABSENT <= label <= PRESENT or label == UNKNOWN)
                for label in self.labels
            )
        )

    def positions_or_names(self) -> Targets:
        """Reads names and positions, without duplicates.

        Raises:
            InputError: If a label is neither, out of range, or given twice.
        """
        names = [_name(label, self.order, self.where) for label in self.labels]
        for k, name in enumerate(names):
            if name in names[:k]:
                raise InputError(
                    f"{self.where}: label {self.labels[k]!r} appears twice; 'gt_label' is a list "
                    "of positions or names, or one number per class"
                )
        return dict.fromkeys(names, PRESENT)


def _name(label: object, order: LabelSet | None, where: str) -> str:
    if isinstance(label, str):
        return label
    if not isinstance(label, int) or isinstance(label, bool):
        raise InputError(f"{where}: label {shown(label)} is neither a position nor a name")
    if order is None:
        raise InputError(
            f"{where}: label {label} is a position, but there are no classes; give a class file"
        )
    if not 0 <= label < len(order):
        raise InputError(f"{where}: label {label} is out of range: there are {len(order)} classes")
    return order[label]


def read_labels(
    entries: Sequence[Given], minus_one: MinusOne | None
) -> tuple[list[Targets], list[str]]:
    """Reads the labels of all entries as positions and names, or as one number per class.

    ``[1, 0, 1]`` for three classes cannot be positions, as 1 appears twice; ``[0, 2, 1]`` cannot be
    targets. The form is decided from all entries together, which must agree.

    Args:
        entries: The entries of all files.
        minus_one: Meaning of -1 if there is one number per class.

    Returns:
        Targets by label per entry, and notes.

    Raises:
        InputError: If an entry has neither form, two entries have different forms, or all of them
            could have either form.
    """
    listed: list[Targets] = []
    hot = [given.may_be_multi_hot for given in entries]
    only_hot: tuple[Given, InputError] | None = None
    for given, may_be in zip(entries, hot, strict=True):
        try:
            listed.append(given.positions_or_names())
        except InputError as error:
            if not may_be:
                raise
            only_hot = only_hot or (given, error)
    only_listed = next((g for g, may_be in zip(entries, hot, strict=True) if not may_be), None)
    if only_hot is not None and only_listed is not None:
        raise InputError(
            f"{only_hot[1]}; as one number per class it would not fit {only_listed.where}: "
            f"{shown(only_listed.labels)}"
        )
    if only_hot is not None:
        return _multi_hot(entries, minus_one)
    if only_listed is None:
        raise InputError(
            f"{entries[0].where}: 'gt_label' {shown(entries[0].labels)} may be positions or one "
            "number per class, as in all other entries: write label names instead"
        )
    if minus_one is not None:
        raise InputError(
            f"minus_one={minus_one}: {only_listed.where} lists labels by position or name, so no "
            "target is -1"
        )
    return listed, []


def _multi_hot(
    entries: Sequence[Given], minus_one: MinusOne | None
) -> tuple[list[Targets], list[str]]:
    """Reads one number per class; files may order their classes differently."""
    names = entries[0].order or ()
    rows = [dict(zip(given.order or (), given.labels, strict=True)) for given in entries]
    matrix = np.array([[row.get(name, UNKNOWN) for name in names] for row in rows], np.float32)
    settled, notes = settle_minus_one(matrix, names, [given.where for given in entries], minus_one)
    targets: list[Targets] = [
        row | dict(zip(names, values, strict=True))
        for row, values in zip(rows, settled.tolist(), strict=True)
    ]
    return targets, ["'gt_label' has one number per class", *notes]
