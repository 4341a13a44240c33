"""Differences of committed benchmarks over their seeds, where the scores of images were not kept.

    python benchmarks/studies/over_seeds.py claims/conditioned-scenes "conditioned · npmi:top_k=10"
    python benchmarks/studies/over_seeds.py gat-end-to-end.json "gat · conditional"

Reads ``results.csv`` of a folder in benchmarks/results, or mAP by method of a JSON file there, and
compares one method with every other one by a paired t-interval over the seeds, with p-values
corrected by Holm. The reported images are the same for all seeds: how a difference would vary over
other images is not part of these intervals.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from study import RESULTS

from gatlabel.csv_files import read_rows
from gatlabel.experiments.records import parse_identity
from gatlabel.experiments.statistics import holm

Points = dict[str, NDArray[np.float64]]


def read_points(path: Path) -> Points:
    """Returns the mAP by method, in points and in the order of seeds.

    Args:
        path: A JSON file, or a folder of a benchmark, of which runs with all images and targets are
            read.
    """
    if path.suffix == ".json":
        means = json.loads(path.read_text(encoding="utf-8"))["mAP"]
        return {title: np.array(values) for title, values in means.items()}
    path = path / "results.csv"
    found: dict[str, dict[int, float]] = {}
    for row in read_rows(path, "table of results"):
        method, condition, seed = parse_identity(row, path)
        if (condition.fraction, condition.masked) == (1.0, 0.0):
            found.setdefault(method.title, {})[seed] = 100 * float(row["mAP"])
    return {title: np.array([by[seed] for seed in sorted(by)]) for title, by in found.items()}


def over_seeds(points: Points, ours: str) -> dict[str, tuple[float, float, float, float]]:
    """Returns the mean difference to each other method, its 95 % interval, and Holm's p."""
    rows = {}
    for theirs, values in points.items():
        if theirs != ours:
            found = stats.ttest_rel(points[ours], values)
            interval = found.confidence_interval(0.95)
            rows[theirs] = (float((points[ours] - values).mean()), *interval, float(found.pvalue))
    corrected = holm([row[3] for row in rows.values()])
    return {name: (*row[:3], p) for (name, row), p in zip(rows.items(), corrected, strict=True)}


def main() -> None:
    """Prints the differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="of a folder or JSON file of results")
    parser.add_argument("ours", help="title of the method that is compared with all others")
    given = parser.parse_args()
    points = read_points(RESULTS / given.name)
    if given.ours not in points:
        raise SystemExit(f"no {given.ours}: there are {', '.join(points)}")
    for theirs, (value, low, high, p) in over_seeds(points, given.ours).items():
        print(f"{given.ours} to {theirs}: {value:+.2f} [{low:+.2f}, {high:+.2f}], p {p:.4f}")


if __name__ == "__main__":
    main()
