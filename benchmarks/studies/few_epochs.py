"""Which weights to keep after few epochs on images unlike ImageNet: trained or closed form?

    python benchmarks/studies/few_epochs.py --root ../shared/data --out /elsewhere/few-epochs
    python benchmarks/studies/few_epochs.py --out /elsewhere/few-epochs --figures

Scenes of a drawing that no comparison with other packages uses (seed 31), one ``gatlabel train`` at
160 px and one thread per cell, with the settings of ``auto`` for such images and classifiers fitted
again after training. Trained weights are kept whatever 60 validation images say, and what they say
is recorded. Figures are mAP of the labels with at least ten test positives, of the closed form, the
trained weights, and what either rule of ``--keep`` would have kept. A finished cell is a line of
cells.jsonl below ``--out``; ``--figures`` writes benchmarks/results/few-epochs.json.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
from cells import Cell, Cells, begin, protocol_of
from depth_decay import SCENES_SEED, UNLIKE
from fine_tuning import run, run_compared
from peer_study.sets import StudySet, read_set
from study import write_result
from task_models import paired

from gatlabel.training.proving import RULES

EPOCHS = {100: (0, 2, 4, 6), 250: (0, 2), 500: (0, 1)}
COMPARED = ("--images.augmentation", "light", "--run.refit", "true", "--keep", "unless-worse")


def trained(data: StudySet, images: int, seed: int, epochs: int, out: Path) -> Cell:
    """Runs a cell that is trained; keeps the weights in any case, and what validation says."""
    options = [*UNLIKE, *COMPARED, "--epochs", str(epochs)]
    return run_compared(data, images, seed, options, out)


def figures(cells: Cells) -> None:
    """Prints means and gains over the closed form, and writes them with all cells."""
    rows = []
    for images, numbers in EPOCHS.items():
        closed = {cell["seed"]: cell["mAP"] for cell in cells.find(images=images, epochs=0)}
        for epochs in numbers[1:]:
            found = [c for c in cells.find(images=images, epochs=epochs) if c["seed"] in closed]
            start = np.array([closed[cell["seed"]] for cell in found])
            values = {"trained": np.array([cell["mAP"] for cell in found])}
            for name, rule in RULES.items():
                kept = [rule(cell["validation change"], cell["its error"]) for cell in found]
                values[name] = np.where(kept, values["trained"], start)
            row = {"images": images, "epochs": epochs, "seeds": len(found)}
            row |= {"closed form": round(float(start.mean()), 2)}
            row |= {name: round(float(each.mean()), 2) for name, each in values.items()}
            row["unless-worse over proven"] = paired(values["unless-worse"], values["proven"])
            row["trained over closed form"] = paired(values["trained"], start)
            rows.append(row)
            print(row)
    what = {"protocol": protocol_of(__doc__), "figures": rows, "cells": cells.rows}
    write_result("few-epochs", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "few-epochs", seeds=5)
    cells = Cells(given.out)
    if given.figures:
        figures(cells)
        return
    data = read_set("scenes", given.root, given.out, SCENES_SEED)
    for seed in range(given.seeds):
        for images, numbers in EPOCHS.items():
            closed = partial(run, data, images, seed, ["--epochs", "0"], given.out)
            cells.fill({"images": images, "epochs": 0, "seed": seed}, closed)
            for epochs in numbers[1:]:
                key = {"images": images, "epochs": epochs, "seed": seed}
                cells.fill(key, partial(trained, data, images, seed, epochs, given.out))


if __name__ == "__main__":
    main()
