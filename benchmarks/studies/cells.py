"""What studies of many runs share: finished cells are kept, so that a second start goes on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Cell = dict[str, Any]


class Cells:
    """Finished cells: the lines of ``cells.jsonl`` in a folder, which is made.

    Args:
        out: The folder.
    """

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / "cells.jsonl"
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        self.rows: list[Cell] = [json.loads(line) for line in lines]

    def find(self, **key: Any) -> list[Cell]:
        """Returns the cells with these values."""
        return [row for row in self.rows if key.items() <= row.items()]

    def fill(self, key: Cell, run: Callable[[], Cell]) -> None:
        """Runs a cell and keeps its figures beside its key, unless it is there."""
        if self.find(**key):
            return
        row = key | run()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)
        print(row, flush=True)


def begin(document: str | None, name: str, seeds: int | None = None) -> argparse.Namespace:
    """Reads the arguments of a study, and has torch use one thread.

    Args:
        document: The docstring of the script; its first line describes it.
        name: Of the study.
        seeds: Default number of seeds; none: no such option.

    Returns:
        ``root`` and ``out`` as absolute folders, ``seeds`` if any, and ``figures``.
    """
    parser = argparse.ArgumentParser(description=(document or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs") / name)
    if seeds is not None:
        parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--figures", action="store_true", help="compute, and write the results")
    given = parser.parse_args()
    given.root, given.out = given.root.absolute(), given.out.absolute()
    torch.set_num_threads(1)
    return given


def protocol_of(document: str | None) -> str:
    """Returns the docstring of a script without its question and commands."""
    return (document or "").split("\n\n", 2)[2]
