"""Figures and tests of the cells that are there, written to benchmarks/results/peers.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatlabel.experiments.environment import environment
from gatlabel.files import write_json
from peer_study.cells import CHOOSES_SIZE, SKLEARN
from peer_study.comparing import Estimate, holm, pooled
from peer_study.gathering import Study, judged_labels
from peer_study.lines import user_lines
from peer_study.running import ROOT
from peer_study.sets import StudySet
from peer_study.tables import fill_page

RESULTS = ROOT / "benchmarks" / "results" / "peers.json"
PAGE = ROOT / "docs" / "studies" / "peers.md"
OURS = "default"
BEATEN, NOT_WORSE = ("fastai", "plain"), ("ridge", *SKLEARN)
MARGIN = -1.0
#: What mAP is the mean over: labels with so many test positives.
MEASURES = {"mAP of labels with 10 positives": 10, "mAP": 1}


def figures(study: Study) -> list[dict[str, Any]]:
    """Returns a row a place and method."""
    rows, told = [], set()
    for place in study.places():
        for method in study.methods():
            runs = study.runs(place, method)
            # what chooses its size has the same runs beside peers of every size
            cells = (place.budget, *(cell for cell, _ in runs.values()))
            if not runs or cells in told:
                continue
            told.add(cells)
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
        over_sets = _better_over_sets(study, name, least)
        _correct(over_sets, "p")
        not_worse = [row for theirs in NOT_WORSE for row in _not_worse(study, name, least, theirs)]
        _correct(not_worse, "p")
        found += better + over_sets + not_worse
    return found


def _better_over_sets(study: Study, name: str, least: int) -> list[dict[str, Any]]:
    """One test a number of images, budget and method that must be beaten, pooled over sets."""
    by_place: dict[tuple[int, int, int, str], dict[str, Any]] = {}
    for place in study.places():
        for theirs in BEATEN:
            d = study.compared(place, OURS, theirs, least)
            if d is not None:
                key = (place.size, place.images, place.budget, theirs)
                by_place.setdefault(key, {})[place.data] = d
    rows = []
    for (size, images, budget, theirs), found in by_place.items():
        if len(found) > 1:
            row = _row(name, pooled([[d] for d in found.values()]))
            where = {"sets": sorted(found), "size": size, "images": images, "budget": budget}
            rows.append({"question": "better over sets", "theirs": theirs, **where, **row})
    return rows


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


def write_results(root: Path, out: Path, results: Path, page: Path | None) -> None:
    """Computes everything, writes the JSON, and fills the table of the page, if there is one."""
    study = Study(root, out)
    content = {
        "lines": user_lines(),
        "sets": {name: _counts(data) for name, data in study.sets.items()},
        "figures": figures(study),
        "tests": tests(study),
        "commits": study.commits(),
        "machine": {**environment(workers=1), "threads": 1},
    }
    write_json(results, content)
    if page is not None:
        fill_page(page, content)
    print(f"{len(study.records)} cells: {results}")


def _counts(data: StudySet) -> dict[str, Any]:
    return {
        "training images to draw from": len(data.pool),
        "test images": len(data.test),
        "labels": {name: len(judged_labels(data, least)) for name, least in MEASURES.items()},
    }
