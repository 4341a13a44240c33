"""Runs one cell in a process of its own: ``python -m peer_study.worker REQUEST.json``.

The request holds the cell and folders. What comes of it is written beside it, as ``ANSWER.json``
and ``SCORES.npz``, and is there whole or not at all.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peer_study.clock import Clock, limit_threads


def run(request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Runs the cell; returns its record and the scores of the test images."""
    import numpy as np
    import torch

    from peer_study.cells import COUNTED_SIZE, Cell
    from peer_study.methods import method
    from peer_study.passes import run_pass
    from peer_study.sets import read_set
    from peer_study.task import Task

    cell = Cell(**request["cell"])
    out = Path(request["out"])
    fit = method(cell.method)
    data = read_set(cell.data, Path(request["root"]), out)
    train, val = data.draw(cell.images, cell.seed)
    counted = run_pass(data, COUNTED_SIZE, out / "passes").seconds * (len(train) + len(val))
    seconds = counted + cell.budget
    random.seed(cell.seed)
    np.random.seed(cell.seed)  # noqa: NPY002  fastai and sklearn draw from it
    torch.manual_seed(cell.seed)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        task = Task(data, train, val, cell.size, seconds, cell.seed, Path(folder),
                    out / "passes", Path(request["root"]))  # fmt: skip
        began, clock = time.perf_counter(), Clock()
        fitted = fit(task, clock)
        fit_seconds, wall = clock.seconds, time.perf_counter() - began
        clock = Clock()
        scores = fitted.predict()
        test_seconds = clock.seconds
    if scores.shape != (len(data.test), len(data.labels)) or not np.isfinite(scores).all():
        raise SystemExit(f"{cell.key}: scores {scores.shape} that are not as expected")
    record = {
        **cell.to_dict(),
        "budget seconds": round(seconds, 2),
        "pass seconds": round(counted, 2),
        "fit seconds": round(fit_seconds + fitted.fit_charge, 2),
        "test seconds": round(test_seconds + fitted.test_charge, 2),
        "wall seconds": round(wall + fitted.fit_charge, 2),
        "finished": fitted.finished,
        "notes": fitted.notes,
    }
    return record, scores


def prepare(request: dict[str, Any]) -> None:
    """Draws scenes and runs the passes that cells will want, so that no cell waits for them."""
    from peer_study.passes import run_pass
    from peer_study.sets import read_set

    out = Path(request["out"])
    data = read_set(request["prepare"], Path(request["root"]), out)
    for size in request["sizes"]:
        run_pass(data, size, out / "passes")


def main() -> None:
    """Reads the request, writes the answer."""
    path = Path(sys.argv[1])
    limit_threads()
    request = json.loads(path.read_text(encoding="utf-8"))
    if "prepare" in request:
        prepare(request)
        return
    import numpy as np

    record, scores = run(request)
    place = Path(request["scores"])
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".part.npz")
    np.savez_compressed(partial, scores=scores.astype(np.float32))
    partial.replace(place)
    path.with_suffix(".answer").write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main()
