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

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from fine_tuning import run
from peer_study.sets import StudySet, read_set
from study import write_result
from task_models import paired

FOLDS = 5
EPOCHS = {749: "12", 250: "24"}
RATES = ("--lr", "3e-4", "--optimizer.encoder-lr", "0.5", "--images.augmentation", "light")
MEASURES = ("mAP", "mAP of all labels")


def fold_of(data: StudySet, fold: int) -> StudySet:
    """Returns the set with other roles: a fifth of all images to test on."""
    every = np.sort(np.concatenate([data.pool, data.test]))
    order = np.random.default_rng(29).permutation(every)
    test = order[fold::FOLDS]
    return dataclasses.replace(data, test=np.sort(test), pool=np.setdiff1d(every, test))


def figures(cells: list[dict[str, Any]]) -> None:
    """Prints and writes means, and what training changed."""
    rows = []
    for images in EPOCHS:
        by_setting = {
            setting: {
                c["fold"]: c for c in cells if (c["images"], c["setting"]) == (images, setting)
            }
            for setting in ("closed form", "trained")
        }
        closed, trained = by_setting.values()
        folds = sorted(closed.keys() & trained.keys())
        for measure in MEASURES if folds else ():
            both = [np.array([of[fold][measure] for fold in folds]) for of in (trained, closed)]
            means = dict(
                zip(("trained", "closed form"), (float(v.mean()) for v in both), strict=True)
            )
            row = {"images": images, "measure": measure, "folds": len(folds), **means}
            rows.append(row | (paired(*both) if len(folds) > 1 else {}))
            print(rows[-1])
    what = {"protocol": (__doc__ or "").split("\n\n", 2)[2], "figures": rows, "cells": cells}
    write_result("many-photographs", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs") / "many-photographs")
    parser.add_argument("--figures", action="store_true", help="compute, and write the results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out.absolute() / "cells.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    cells = [json.loads(line) for line in lines]
    if given.figures:
        figures(cells)
        return
    there = {(c["images"], c["fold"], c["setting"]) for c in cells}
    whole = read_set("voc2007-part", given.root.absolute(), given.out.absolute())
    for images, epochs in EPOCHS.items():
        for fold in range(FOLDS):
            data = fold_of(whole, fold)
            least = min(images, len(data.pool))  # the last fold has one image less
            for setting, options in (
                ("closed form", ["--epochs", "0"]),
                ("trained", [*RATES, "--epochs", epochs]),
            ):
                if (images, fold, setting) in there:
                    continue
                cell = {"images": images, "fold": fold, "setting": setting}
                cell |= run(data, least, 0, options, given.out.absolute())
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(cell) + "\n")
                print(cell, flush=True)


if __name__ == "__main__":
    main()
