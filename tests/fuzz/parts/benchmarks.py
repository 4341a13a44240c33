"""Folders of finished benchmarks, put into a summary."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

from tests.fuzz.archives import corrupt_zip
from tests.fuzz.case import Case
from tests.fuzz.parts.graphs import corrupted_array
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.texts import corrupt_table
from tests.fuzz.trees import corrupt_tree, json_bytes

WORDS = ("gat", "linear", "own", "none", "ablated", "single", "complete", "mAP", "seeds", 0, 1, 0.5)


def benchmarks(case: Case) -> None:
    """Corrupts one or two files of a benchmark, and summarises it."""
    rng = case.rng
    folder = case.given / "benchmark"
    shutil.copytree(case.samples.benchmark, folder)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".csv", ".npz"))
    for path in rng.sample(files, rng.choice((1, 1, 2))):
        kind = rng.choice(("inside", "inside", "inside", "bytes", "away", "empty"))
        if kind == "away":
            path.unlink()
        elif kind == "empty":
            path.write_bytes(b"")
        else:
            data = path.read_bytes()
            path.write_bytes(_inside(rng, path, data) if kind == "inside" else corrupt(rng, data))
    words = ("--no-progress", "--output", case.folder / "out")
    case.command("benchmark", "summary", folder, *words)


def _inside(rng: Random, path: Path, data: bytes) -> bytes:
    if path.suffix == ".json":
        return json_bytes(rng, corrupt_tree(rng, json.loads(data), WORDS))
    if path.suffix == ".csv":
        words = tuple(map(str, WORDS))
        return corrupt_table(rng, data.decode(), words).encode("utf-8", "surrogatepass")
    return corrupt_zip(rng, data, corrupted_array)
