"""The finished cells with their scores, put together by place, method and seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peer_study.cells import CHOOSES_SIZE, COUNTED_SIZE, SETS, Cell
from peer_study.comparing import Measured, measure, subtract
from peer_study.records import Record, Records, record_of
from peer_study.sets import StudySet, read_set


@dataclass(frozen=True)
class Place:
    """Where methods are compared: a set, its training images, a budget, the peers' resolution."""

    data: str
    images: int
    budget: int
    size: int

    def cell(self, method: str, seed: int) -> Cell:
        """Returns the cell of a method here."""
        side = 0 if method in CHOOSES_SIZE else self.size
        return Cell(self.data, self.images, self.budget, method, seed, side)


class Study:
    """The finished cells with their scores.

    Args:
        root: The folder of the sets.
        out: The folder of the study.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self.store = Records(out)
        self.records = self.store.read()
        names = [name for name in SETS if any(c.data == name for c in self.records)]
        self.sets = {name: read_set(name, root, out) for name in names}
        self._measured: dict[tuple[Any, ...], Measured] = {}

    def places(self) -> list[Place]:
        """Returns the places in which anything was run, in the order of the sets."""
        sizes = {c.size for c in self.records if c.size} or {COUNTED_SIZE}
        found = {
            Place(c.data, c.images, c.budget, size)
            for c in self.records
            for size in ([c.size] if c.size else sizes)
        }
        order = SETS
        return sorted(found, key=lambda p: (order.index(p.data), p.images, p.budget, p.size))

    def methods(self) -> list[str]:
        """Returns the methods, in the order in which they were first run."""
        return list(dict.fromkeys(cell.method for cell in self.records))

    def commits(self) -> dict[str, list[str]]:
        """Returns the commits of this repository at which each method was run."""
        found: dict[str, set[str]] = {}
        for cell, record in self.records.items():
            found.setdefault(cell.method, set()).add(record.get("commit") or "unknown")
        return {method: sorted(commits) for method, commits in found.items()}

    def runs(self, place: Place, method: str) -> dict[int, tuple[Cell, Record]]:
        """Returns the runs of a method by seed."""
        seeds = sorted({cell.seed for cell in self.records})
        found = {s: record_of(place.cell(method, s), self.records) for s in seeds}
        return {seed: run for seed, run in found.items() if run is not None}

    def measured(self, place: Place, method: str, seeds: Iterable[int], least: int) -> Measured:
        """Returns the mAP of a method's runs, over labels with ``least`` test positives."""
        data = self.sets[place.data]
        runs = self.runs(place, method)
        cells = tuple(runs[seed][0] for seed in seeds)
        if (cells, least) not in self._measured:
            labels = judged_labels(data, least)
            scores = [np.load(self.store.scores(c))["scores"][:, labels] for c in cells]
            targets = data.judged[data.test][:, labels]
            self._measured[cells, least] = measure(scores, targets)
        return self._measured[cells, least]

    def compared(self, place: Place, ours: str, theirs: str, least: int) -> Any:
        """Returns the difference over the seeds that both have, or none below two."""
        seeds = sorted(set(self.runs(place, ours)) & set(self.runs(place, theirs)))
        if len(seeds) < 2:
            return None
        return subtract(
            self.measured(place, ours, seeds, least), self.measured(place, theirs, seeds, least)
        )


def judged_labels(data: StudySet, least: int) -> NDArray[np.int64]:
    """Returns the labels with at least so many test positives, and a negative."""
    targets = data.judged[data.test]
    enough = ((targets == 1).sum(0) >= least) & (targets == 0).any(0)
    return np.flatnonzero(enough)
