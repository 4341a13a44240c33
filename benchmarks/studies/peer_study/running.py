"""Goes through the cells, a process each, and leaves out those that are finished."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer_study.cells import COUNTED_SIZE, Cell
from peer_study.clock import ONE_THREAD
from peer_study.methods import NEEDS_FASTAI
from peer_study.records import Records, record_of

STUDIES = Path(__file__).resolve().parent.parent
ROOT = STUDIES.parent.parent


@dataclass(frozen=True)
class Places:
    """Folders and programs.

    Attributes:
        root: The folder of the sets.
        out: Where cells, scores and features are kept; outside the repository.
        fastai_python: A Python that has fastai beside what gatlabel needs.
    """

    root: Path
    out: Path
    fastai_python: str

    def python(self, method: str) -> str:
        """Returns the Python of a method."""
        return self.fastai_python if method in NEEDS_FASTAI else sys.executable


def has_package(python: str, name: str) -> bool:
    """Tells whether a Python finds a package, without importing it."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", look]).returncode == 0


def run_cells(cells: Iterable[Cell], places: Places) -> int:
    """Runs what is not there yet; returns how many cells failed.

    A cell that fails is told of and tried again at the next start.
    """
    records, failed = Records(places.out), 0
    wanted = list(cells)
    left = [c for c in wanted if record_of(c, records.read()) is None]
    print(f"{len(wanted)} cells, {len(wanted) - len(left)} there already", flush=True)
    sizes: dict[str, set[int]] = {}
    for cell in left:
        sizes.setdefault(cell.data, {COUNTED_SIZE}).add(cell.size or COUNTED_SIZE)
    for data, sides in sizes.items():
        _call({"prepare": data, "sizes": sorted(sides)}, sys.executable, places)
    for cell in left:
        if record_of(cell, records.read()) is not None:
            continue  # finished in less time meanwhile, or run by another process
        request = {"cell": cell.to_dict(), "scores": str(records.scores(cell).resolve())}
        answer = _call(request, places.python(cell.method), places)
        if answer is None:
            failed += 1
            print(f"{cell.key}: failed", flush=True)
        else:
            records.add({**answer, "commit": commit()})
            print(f"{cell.key}: {answer['fit seconds']:.0f} s, {answer['notes']}", flush=True)
    return failed


def _call(request: dict[str, Any], python: str, places: Places) -> dict[str, Any] | None:
    """Has a process run a request; returns its answer, or none after printing why."""
    places.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.out) as folder:
        path = Path(folder) / "request.json"
        where = {"root": str(places.root.resolve()), "out": str(places.out.resolve())}
        path.write_text(json.dumps({**request, **where}), encoding="utf-8")
        command = [python, "-m", "peer_study.worker", str(path)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        answer = path.with_suffix(".answer")
        if done.returncode == 0:
            return json.loads(answer.read_text(encoding="utf-8")) if answer.is_file() else {}
        print(done.stderr[-3000:], file=sys.stderr, flush=True)
        return None


def commit() -> str | None:
    """Returns the commit of this tree, with a mark if files differ from it; none without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def environment() -> dict[str, str]:
    """One thread, this tree, and nothing fetched from a hub."""
    given = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    path = os.pathsep.join([str(STUDIES), str(ROOT), *given])
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
