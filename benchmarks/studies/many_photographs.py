"""Does training the encoder pay on the most photographs that are at hand?

    python benchmarks/studies/many_photographs.py --root ../shared/data --out /elsewhere/many
    python benchmarks/studies/many_photographs.py --out /elsewhere/many --figures

All images of voc2007-part but the 60 reserved for validation, 936, in five folds: 749 to train on,
or 250 drawn of these, the others to test on. ``gatlabel train`` at 160 px, one thread, with the
settings of ``auto`` for photographs on which it trains the encoder: the closed form alone, and 12
epochs (24 of 250 images, as with the preset ``best``) after it, always kept. Figures are mAP of
labels with at least ten test positives, and of all; differences are within a fold. Folds share
training images, so intervals over folds are too narrow. A finished cell is a line of cells.jsonl
below ``--out``; ``--figures`` writes benchmarks/results/many-photographs.json.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
from cells import Cells, begin, protocol_of
from fine_tuning import run
from peer_study.sets import StudySet, read_set
from study import write_result
from task_models import paired

FOLDS = 5
EPOCHS = {749: "12", 250: "24"}
RATES = ("--lr", "3e-4", "--optimizer.encoder-lr", "0.5", "--images.augmentation", "light")
SETTINGS = ("closed form", "trained")
MEASURES = ("mAP", "mAP of all labels")


def fold_of(data: StudySet, fold: int) -> StudySet:
    """Returns the set with other roles: a fifth of all images to test on."""
    every = np.sort(np.concatenate([data.pool, data.test]))
    order = np.random.default_rng(29).permutation(every)
    test = order[fold::FOLDS]
    return dataclasses.replace(data, test=np.sort(test), pool=np.setdiff1d(every, test))


def figures(cells: Cells) -> None:
    """Prints and writes means, and what training changed."""
    rows = []
    for images in EPOCHS:
        closed, trained = (
            {cell["fold"]: cell for cell in cells.find(images=images, setting=setting)}
            for setting in SETTINGS
        )
        folds = sorted(closed.keys() & trained.keys())
        for measure in MEASURES if folds else ():
            both = [np.array([of[fold][measure] for fold in folds]) for of in (trained, closed)]
            means = [round(float(values.mean()), 2) for values in both]
            row = {"images": images, "measure": measure, "folds": len(folds)}
            row |= dict(zip(("trained", "closed form"), means, strict=True))
            rows.append(row | (paired(*both) if len(folds) > 1 else {}))
            print(rows[-1])
    what = {"protocol": protocol_of(__doc__), "figures": rows, "cells": cells.rows}
    write_result("many-photographs", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "many-photographs")
    cells = Cells(given.out)
    if given.figures:
        figures(cells)
        return
    whole = read_set("voc2007-part", given.root, given.out)
    for images, epochs in EPOCHS.items():
        for fold in range(FOLDS):
            data = fold_of(whole, fold)
            count = min(images, len(data.pool))  # one fold has an image less
            for setting, options in zip(
                SETTINGS, (["--epochs", "0"], [*RATES, "--epochs", epochs]), strict=True
            ):
                key = {"images": images, "fold": fold, "setting": setting}
                cells.fill(key, partial(run, data, count, 0, options, given.out))


if __name__ == "__main__":
    main()
