"""Differences of committed results over their seeds, where the scores of images were not kept.

    python benchmarks/studies/over_seeds.py claims/conditioned-scenes "conditioned · npmi:top_k=10"
    python benchmarks/studies/over_seeds.py gat-end-to-end.json "gat · conditional"
    python benchmarks/studies/over_seeds.py linear-start.json ridge
    python benchmarks/studies/over_seeds.py treatments.json ignore --base

Reads the mAP of every seed, from ``results.csv`` of a folder in benchmarks/results or from a JSON
file there, and compares one method with every other one by a paired t-interval over the seeds, with
p-values corrected by Holm over all comparisons that are printed. The reported images are the same
for all seeds: how a difference would vary over other images is not part of these intervals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from study import RESULTS

from gatlabel.csv_files import read_rows
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.records import parse_identity
from gatlabel.experiments.statistics import holm

#: mAP in points by method, in the order of seeds.
Points = dict[str, NDArray[np.float64]]


class Row(NamedTuple):
    """A difference in points, ``ours`` minus ``theirs``, with its 95 % interval and Holm's p."""

    place: str
    ours: str
    theirs: str
    value: float
    low: float
    high: float
    p: float


def read_places(path: Path) -> dict[str, Points]:
    """Returns the mAP of every seed by method, for each place where methods were compared.

    Args:
        path: A JSON file, or a folder of a benchmark.
    """
    if path.suffix == ".json":
        return _places(json.loads(path.read_text(encoding="utf-8")))
    path = path / "results.csv"
    found: dict[Condition, dict[str, dict[int, float]]] = {}
    for row in read_rows(path, "table of results"):
        method, condition, seed = parse_identity(row, path)
        runs = found.setdefault(condition, {}).setdefault(method.title, {})
        runs[seed] = 100 * float(row["mAP"])
    return {
        condition.title: {
            title: np.array([by[seed] for seed in sorted(by)]) for title, by in methods.items()
        }
        for condition, methods in found.items()
    }


def _places(content: Mapping[str, Any]) -> dict[str, Points]:
    """The three forms of the studies: one place, a row per place, a row per place and method."""
    if "mAP" in content:
        return {"": _arrays(content["mAP"])}
    if "differences" in content:
        rows = content["differences"]
        return {f"{row['data']}, {row['fraction']:.0%}": _arrays(row["mAP"]) for row in rows}
    places: dict[str, Points] = {}
    for row in content["rows"]:
        masked = row["hidden"] if isinstance(row["hidden"], str) else f"{row['hidden']:.0%}"
        place = places.setdefault(f"{row['data']}, {masked}", {})
        place[row["unknown"]] = np.array(row["mAP"])
    return places


def _arrays(means: Mapping[str, list[float]]) -> Points:
    return {title: np.array(values) for title, values in means.items()}


def over_seeds(places: Mapping[str, Points], method: str, *, base: bool = False) -> list[Row]:
    """Compares a method with every other one.

    Args:
        places: As of :func:`read_places`.
        method: The title of the method.
        base: Differences are those of the others to this method.
    """
    rows = []
    for place, points in places.items():
        for other in points:
            if other != method:
                ours, theirs = (other, method) if base else (method, other)
                found = stats.ttest_rel(points[ours], points[theirs])
                low, high = found.confidence_interval(0.95)
                value = float((points[ours] - points[theirs]).mean())
                rows.append(Row(place, ours, theirs, value, low, high, float(found.pvalue)))
    corrected = holm([row.p for row in rows])
    return [row._replace(p=p) for row, p in zip(rows, corrected, strict=True)]


def main() -> None:
    """Prints the differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="of a folder or JSON file of results")
    parser.add_argument("method", help="title of the method that is compared with all others")
    parser.add_argument("--base", action="store_true", help="print differences to this method")
    given = parser.parse_args()
    places = read_places(RESULTS / given.name)
    titles = sorted({title for points in places.values() for title in points})
    if given.method not in titles:
        raise SystemExit(f"no {given.method}: there are {', '.join(titles)}")
    for row in over_seeds(places, given.method, base=given.base):
        where = f"{row.place}: " if row.place else ""
        print(
            f"{where}{row.ours} to {row.theirs}: {row.value:+.2f} [{row.low:+.2f}, "
            f"{row.high:+.2f}], p {row.p:.4f}"
        )


if __name__ == "__main__":
    main()
