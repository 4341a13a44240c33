"""Finished cells, a JSON line each: what a second start need not run again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from peer_study.cells import Cell

Record = dict[str, Any]


class Records:
    """The lines of ``cells.jsonl`` in a folder.

    Several processes may add lines; a line that a kill cut off is passed over.

    Args:
        out: The folder of the study.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / "cells.jsonl"

    def read(self) -> dict[Cell, Record]:
        """Returns the records whose scores are there, by cell."""
        found: dict[Cell, Record] = {}
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.is_file() else []
        for line in lines:
            try:
                record = json.loads(line)
                cell = Cell(**{name: record[name] for name in Cell.__dataclass_fields__})
            except (ValueError, KeyError, TypeError):
                continue
            if self.scores(cell).is_file():
                found[cell] = record
        return found

    def add(self, record: Record) -> None:
        """Adds a line, on disk when this returns."""
        self.out.mkdir(parents=True, exist_ok=True)
        torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def scores(self, cell: Cell) -> Path:
        """Where the scores of a cell lie: npz, ``scores`` float32 ``(N, L)``."""
        return self.out / "scores" / f"{cell.key}.npz"


def record_of(cell: Cell, records: dict[Cell, Record]) -> tuple[Cell, Record] | None:
    """Finds the record of a cell, or of one with less time in which the method was finished."""
    for budget in sorted({c.budget for c in records if c.budget < cell.budget}):
        other = Cell(**{**cell.to_dict(), "budget": budget})
        if other in records and records[other]["finished"]:
            return other, records[other]
    return (cell, records[cell]) if cell in records else None
