"""Does a lower rate for earlier layers help where the encoder is trained after the closed form?

    python benchmarks/studies/depth_decay.py --root ../shared/data --out /elsewhere/depth-decay
    python benchmarks/studies/depth_decay.py --out /elsewhere/depth-decay --figures

Every cell is one ``gatlabel train`` at 160 px, one thread, with the settings of ``auto`` for such
images, but for ``--optimizer.depth-decay``: 1 is the same rate for all layers, 0.5 halves it from
a quarter of the layers to the one before it. Scenes, on which training gains much, are of a
drawing that no other study uses (seed 31), and classifiers are fitted again after training. On
photographs the decay may at least lose nothing. The closed form is there beside it. Trained weights
are always kept. Training images are drawn by seed; figures are mAP of the labels with at least ten
test positives. Differences from decay 1 are within a seed. A finished cell is a line of
cells.jsonl below ``--out``; ``--figures`` writes benchmarks/results/depth-decay.json.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
from cells import Cells, begin, protocol_of
from fine_tuning import run
from peer_study.sets import read_set
from study import write_result
from task_models import paired

SCENES_SEED = 31
CLOSED = "closed form"  # not trained at all
UNLIKE = ("--lr", "1e-3", "--optimizer.encoder-lr", "0.3", "--batch-size", "8")
ALIKE = ("--lr", "3e-4", "--optimizer.encoder-lr", "0.5", "--images.augmentation", "light")
#: Set, images, decays, and options: those of auto with rates and epochs written out.
GRID: tuple[tuple[str, int, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        *("scenes", 100, (CLOSED, "1", "0.7", "0.5")),
        (*UNLIKE, "--epochs", "8", "--images.augmentation", "standard"),
    ),
    (
        *("scenes", 500, (CLOSED, "1", "0.7", "0.5")),
        (*UNLIKE, "--epochs", "3", "--images.augmentation", "light"),
    ),
    ("voc2007-part", 500, (CLOSED, "1", "0.5"), (*ALIKE, "--epochs", "4")),
)


def options_of(name: str, options: tuple[str, ...], decay: str) -> list[str]:
    """Returns the options of a cell, as words of the command."""
    if decay == CLOSED:
        return ["--epochs", "0"]
    refit = ["--run.refit", str(name == "scenes").lower()]
    return [*options, *refit, "--optimizer.depth-decay", decay]


def figures(cells: list[dict[str, Any]]) -> None:
    """Prints means and differences from decay 1, and writes them with all cells."""
    values: dict[tuple[str, int], dict[str, dict[int, float]]] = defaultdict(dict)
    for cell in cells:
        row = values[cell["set"], cell["images"]].setdefault(cell["decay"], {})
        row[cell["seed"]] = cell["mAP"]
    rows = []
    for (name, images), by_decay in values.items():
        if "1" not in by_decay:
            continue
        for decay, found in by_decay.items():
            seeds = sorted(found.keys() & by_decay["1"].keys())
            row: dict[str, Any] = {"set": name, "images": images, "decay": decay}
            row["mAP"] = round(float(np.mean([found[s] for s in seeds])), 2)
            row["seeds"] = len(seeds)
            if decay != "1" and len(seeds) > 1:
                row |= paired(*(np.array([of[s] for s in seeds]) for of in (found, by_decay["1"])))
            rows.append(row)
            print(row)
    what = {"protocol": protocol_of(__doc__), "figures": rows, "cells": cells}
    write_result("depth-decay", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "depth-decay", seeds=3)
    cells = Cells(given.out)
    if given.figures:
        figures(cells.rows)
        return
    for seed in range(given.seeds):
        for name, images, decays, options in GRID:
            data = read_set(name, given.root, given.out, SCENES_SEED)
            for decay in decays:
                key = {"set": name, "images": images, "seed": seed, "decay": decay}
                words = options_of(name, options, decay)
                cells.fill(key, partial(run, data, images, seed, words, given.out))


if __name__ == "__main__":
    main()
