"""Rows of the table of speeds: methods in turn, medians, and how far the rounds lie apart."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernels.timing import Times, interleaved, one_run

from gatlabel.experiments.environment import environment
from gatlabel.files import write_json

Row = dict[str, Any]
RESULTS = Path(__file__).parent.parent / "results"


def arguments(document: str, **options: Any) -> argparse.Namespace:
    """Reads ``--quick`` (few rounds, nothing is written), and what the processes are told."""
    parser = argparse.ArgumentParser(description=document.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is written")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def timed(methods: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Runs each once to warm up, then all in turn: processor time, so one thread each."""
    return interleaved(methods, rounds)


def against(name: str, ours: Times, peer: Times, target: float | None, **more: Any) -> Row:
    """A row on how many times faster than the peer."""
    rounds = sorted(theirs / own for own, theirs in zip(ours.runs, peer.runs, strict=True))
    return {
        "row": name,
        "ratio": peer.median / ours.median,
        "spread": [rounds[0], rounds[-1]],  # of the rounds' own ratios
        "target": target,
        "ours": ours.summary(),
        "peer": peer.summary(),
        **more,
    }


def limited(name: str, values: Sequence[float], unit: str, limit: float | None, **more: Any) -> Row:
    """A row on a figure that must not be exceeded."""
    return {
        "row": name,
        "value": statistics.median(values),
        "spread": [min(values), max(values)],
        "unit": unit,
        "limit": limit,
        **more,
    }


def peak_megabytes(script: str, method: str) -> float:
    """Memory that a method takes at most above its inputs, in a process of its own."""
    command = [sys.executable, script, "--peak", method]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(answer.stdout.split()[-1]) / 1e6


def print_seconds(run: Callable[[], object]) -> None:
    """The other side of :func:`seconds_alone`."""
    print(*one_run(run))


def seconds_alone(script: str, method: str, scale: float = 1.0) -> Times:
    """One run of a method in a process of its own, times ``scale``."""
    command = [sys.executable, script, "--alone", method]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    processor, clock = (scale * float(word) for word in answer.stdout.split())
    return Times((processor,), (clock,))


def joined(parts: Sequence[Times]) -> Times:
    """The runs of several measurements of one method."""
    runs, clock = (
        tuple(run for part in parts for run in getattr(part, kind)) for kind in ("runs", "clock")
    )
    return Times(runs, clock)


def finish(name: str, rows: Sequence[Row], quick: bool, **more: Any) -> None:
    """Prints the rows, and writes them with the machine they were measured on."""
    for row in rows:
        low, high = row["spread"]
        if "ratio" in row:
            wanted = "" if row["target"] is None else f">= {row['target']:g}"
            print(f"{row['row']:66s} {row['ratio']:7.2f} x  {low:.2f} to {high:.2f}  {wanted}")
        else:
            wanted = "" if row["limit"] is None else f"<= {row['limit']:g}"
            unit = row["unit"]
            print(f"{row['row']:66s} {row['value']:7.3f} {unit}  {low:.3f} to {high:.3f}  {wanted}")
    if not quick:
        found = {**environment(workers=1), "threads": 1}
        write_json(RESULTS / f"{name}.json", {"rows": list(rows), "machine": found, **more})
