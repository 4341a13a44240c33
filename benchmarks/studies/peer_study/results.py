"""Figures and tests of the cells that are there, written to benchmarks/results/peers.json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.experiments.machine import machine
from gatlabel.files import write_json
from peer_study.cells import CHOOSES_SIZE, COUNTED_SIZE, SIZES, SKLEARN, Cell
from peer_study.comparing import Estimate, Measured, holm, measure, pooled, subtract
from peer_study.lines import user_lines
from peer_study.records import Record, Records, record_of
from peer_study.running import ROOT
from peer_study.sets import StudySet, read_set
from peer_study.tables import fill_page

RESULTS = ROOT / "benchmarks" / "results" / "peers.json"
PAGE = ROOT / "docs" / "studies" / "peers.md"
OURS = "default"
BEATEN, NOT_WORSE = ("fastai", "plain"), ("ridge", *SKLEARN)
MARGIN = -1.0
#: What mAP is the mean over: labels with so many test positives.
MEASURES = {"mAP of labels with 10 positives": 10, "mAP": 1}


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
        names = [name for name in SIZES if any(c.data == name for c in self.records)]
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
        order = list(SIZES)
        return sorted(found, key=lambda p: (order.index(p.data), p.images, p.budget, p.size))

    def methods(self) -> list[str]:
        """Returns the methods, in the order in which they were first run."""
        return list(dict.fromkeys(cell.method for cell in self.records))

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


def figures(study: Study) -> list[dict[str, Any]]:
    """Returns a row a place and method."""
    rows = []
    for place in study.places():
        for method in study.methods():
            runs = study.runs(place, method)
            if not runs:
                continue
            row: dict[str, Any] = {**vars(place), "method": method, "seeds": len(runs)}
            if method in CHOOSES_SIZE:
                row["chosen sizes"] = sorted({r["notes"]["chosen size"] for _, r in runs.values()})
            for name, least in MEASURES.items():
                found = study.measured(place, method, runs, least).points
                row[name] = [round(float(v), 2) for v in found]
            for name in ("budget seconds", "pass seconds", "fit seconds", "test seconds"):
                row[name] = [r[name] for _, r in runs.values()]
            rows.append(row)
    return rows


def tests(study: Study) -> list[dict[str, Any]]:
    """Returns the tests: better than fastai and the plain loop, not worse than closed forms.

    Each family is corrected by Holm for itself: those of one measure and one question.
    """
    found = []
    for name, least in MEASURES.items():
        better = [
            {"question": "better", "theirs": theirs, **vars(place), **_row(name, pooled([[d]]))}
            for place in study.places()
            for theirs in BEATEN
            if (d := study.compared(place, OURS, theirs, least)) is not None
        ]
        _correct(better, "p")
        not_worse = [row for theirs in NOT_WORSE for row in _not_worse(study, name, least, theirs)]
        _correct(not_worse, "p")
        found += better + not_worse
    return found


def _not_worse(study: Study, name: str, least: int, theirs: str) -> list[dict[str, Any]]:
    """One test a resolution of the peers, pooled over all places."""
    rows = []
    for size in sorted({place.size for place in study.places()}):
        by_set: dict[str, list[Any]] = {}
        for place in study.places():
            d = study.compared(place, OURS, theirs, least) if place.size == size else None
            if d is not None:
                by_set.setdefault(place.data, []).append(d)
        if by_set:
            estimate = pooled(list(by_set.values()))
            row = _row(name, estimate)
            row["p"] = estimate.p_below(MARGIN)
            more = {"sets": sorted(by_set), "size": size, "margin": MARGIN}
            rows.append({"question": "not worse", "theirs": theirs, **more, **row})
    return rows


def _row(name: str, estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval()
    return {
        "measure": name,
        "points": round(estimate.value, 2),
        "interval": [round(low, 2), round(high, 2)],
        "p": estimate.p_different(),
    }


def _correct(rows: list[dict[str, Any]], key: str) -> None:
    for row, corrected in zip(rows, holm([row[key] for row in rows]), strict=True):
        row["p corrected"] = corrected


def write_results(root: Path, out: Path, results: Path = RESULTS, page: Path = PAGE) -> None:
    """Computes everything, writes the JSON, and fills the table of the page."""
    study = Study(root, out)
    content = {
        "lines": user_lines(),
        "sets": {name: _counts(data) for name, data in study.sets.items()},
        "figures": figures(study),
        "tests": tests(study),
        "machine": {**machine(workers=1), "threads": 1},
    }
    write_json(results, content)
    fill_page(page, content)
    print(f"{len(study.records)} cells: {results}, {page}")


def _counts(data: StudySet) -> dict[str, Any]:
    return {
        "training images to draw from": len(data.pool),
        "test images": len(data.test),
        "labels": {name: len(judged_labels(data, least)) for name, least in MEASURES.items()},
    }
