"""Is training better than the closed form on images unlike ImageNet, however few the epochs are?

    python benchmarks/studies/few_epochs.py --root ../shared/data --out /elsewhere/few-epochs
    python benchmarks/studies/few_epochs.py --out /elsewhere/few-epochs --figures

Scenes of a drawing that no comparison with other packages uses (seed 31), one ``gatlabel train`` at
160 px and one thread per cell, with the settings of ``auto`` for such images: classifiers fitted
again after training, trained weights always kept. Figures are mAP of the labels with at least ten
test positives; differences from the closed form are within a seed. A finished cell is a line of
cells.jsonl below ``--out``; ``--figures`` writes benchmarks/results/few-epochs.json.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
from cells import Cells, begin, protocol_of
from depth_decay import SCENES_SEED, UNLIKE
from fine_tuning import run
from peer_study.sets import read_set
from study import write_result
from task_models import paired

EPOCHS = {100: (0, 2, 4, 6), 250: (0, 2)}
AFTERWARDS = ("--images.augmentation", "light", "--run.refit", "true")


def figures(cells: Cells) -> None:
    """Prints means and gains over the closed form, and writes them with all cells."""
    rows = []
    for images, numbers in EPOCHS.items():
        by_epochs = {
            epochs: {c["seed"]: c["mAP"] for c in cells.find(images=images, epochs=epochs)}
            for epochs in numbers
        }
        for epochs, found in by_epochs.items():
            seeds = sorted(found.keys() & by_epochs[0].keys())
            values, closed = (np.array([of[s] for s in seeds]) for of in (found, by_epochs[0]))
            row = {"images": images, "epochs": epochs, "seeds": len(seeds)}
            row["mAP"] = round(float(values.mean()), 2)
            rows.append(row | (paired(values, closed) if epochs else {}))
            print(rows[-1])
    what = {"protocol": protocol_of(__doc__), "figures": rows, "cells": cells.rows}
    write_result("few-epochs", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "few-epochs", seeds=3)
    cells = Cells(given.out)
    if given.figures:
        figures(cells)
        return
    data = read_set("scenes", given.root, given.out, SCENES_SEED)
    for seed in range(given.seeds):
        for images, numbers in EPOCHS.items():
            for epochs in numbers:
                trained = [*UNLIKE, *AFTERWARDS] if epochs else []
                options = [*trained, "--epochs", str(epochs)]
                key = {"images": images, "epochs": epochs, "seed": seed}
                cells.fill(key, partial(run, data, images, seed, options, given.out))


if __name__ == "__main__":
    main()
