"""Targets by the definition: a list of rows, one entry at a time."""

from __future__ import annotations

from collections.abc import Sequence

Table = list[list[float]]


def counts(rows: Table, width: int) -> tuple[list[int], list[int], list[int]]:
    """Images per label that are known, present (soft: from 0.5) and absent."""
    known, present, absent = [0] * width, [0] * width, [0] * width
    for row in rows:
        for label, value in enumerate(row):
            known[label] += value != -1
            present[label] += value >= 0.5
            absent[label] += 0 <= value < 0.5
    return known, present, absent


def take(rows: Table, positions: Sequence[int]) -> Table:
    """The rows at some positions."""
    return [list(rows[position]) for position in positions]


def columns(rows: Table, positions: Sequence[int]) -> Table:
    """The labels at some positions; -1 is a label that is unknown throughout."""
    return [[-1.0 if p == -1 else row[p] for p in positions] for row in rows]


def known(rows: Table) -> list[list[bool]]:
    """Which entries are known."""
    return [[value != -1 for value in row] for row in rows]
