"""Up to how many images do frozen batch norms, light augmentation and fitting again pay?

    python benchmarks/studies/few_images.py --out /elsewhere/few-images
    python benchmarks/studies/few_images.py --out /elsewhere/few-images --figures

The recipe ``auto`` did all three below 2,000 images until this study. Scenes of another drawing
(seed 37), 1,000 or 3,000 to train on, on either side of that bound, 1,000 to test on. One
``gatlabel train`` per cell, at 96 px and one thread, with the other settings of ``auto`` for images
unlike those of the encoder, 3 epochs. Trained weights are always kept; the classifiers fitted again
are ridge regression on the features of the trained encoder. Figures are mAP of the labels with at
least ten test positives, and of all; differences are within a draw of training images. Two cells
at higher rates were run by hand. A finished cell is a line of cells.jsonl below ``--out``;
``--figures`` writes benchmarks/results/few-images.json.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from cells import Cell, Cells, begin, protocol_of
from depth_decay import UNLIKE
from fine_tuning import images_of, mean_ap, run
from peer_study.sets import StudySet, draw_scenes, read_table
from study import write_result
from task_models import paired

from gatlabel.baselines.ridge import ridge_start
from gatlabel.inference import predict_features
from gatlabel.model import MultiLabelClassifier

SEED, SCENES = 37, {"train": 3100, "val": 1, "test": 1000}
IMAGES = (1000, 3000)
OPTIONS = (*UNLIKE, "--epochs", "3", "--image-size", "96")
#: Batch norms and augmentation; the first is that of auto below its bound.
SETTINGS = {
    "norms frozen, light": ("norms", "light"),
    "norms trained, light": ("none", "light"),
    "norms frozen, standard": ("norms", "standard"),
}
CLOSED = "closed form"
AGAIN = "fitted again"
MEASURES = ("mAP", "mAP of all labels", f"mAP, {AGAIN}")


def cell_of(data: StudySet, images: int, draw: int, setting: str, out: Path) -> Cell:
    """Runs a cell, and fits its classifiers again."""
    if setting == CLOSED:
        return run(data, images, draw, ["--epochs", "0", "--image-size", "96"], out)
    freeze, augmentation = SETTINGS[setting]
    options = [*OPTIONS, "--freeze", freeze, "--images.augmentation", augmentation]
    row = run(data, images, draw, [*options, "--run.refit", "false"], out)
    model = MultiLabelClassifier.from_pretrained(out / "work" / "run")
    train = data.draw(images, draw)[0]
    features, tested = (
        predict_features(model, images_of(data, model, of)) for of in (train, data.test)
    )
    start = ridge_start(features, torch.from_numpy(data.present[train]))
    frequent, every = mean_ap(data, tested @ start.weight.T + start.bias)
    return row | {f"mAP, {AGAIN}": frequent, f"mAP of all labels, {AGAIN}": every}


def figures(cells: Cells) -> None:
    """Prints and writes means, and differences from the settings of auto below its bound."""
    rows: list[dict[str, Any]] = []
    ours = next(iter(SETTINGS))
    for images in IMAGES:
        values = {
            setting: {c["seed"]: c for c in cells.find(images=images, setting=setting)}
            for setting in (CLOSED, *SETTINGS)
        }
        draws = sorted(set.intersection(*(set(of) for of in values.values())))
        for setting, of in values.items():
            for measure in MEASURES if draws else ():
                if measure not in of[draws[0]]:
                    continue
                found = np.array([of[k][measure] for k in draws])
                row = {"images": images, "setting": setting, "measure": measure}
                row |= {"mean": round(float(found.mean()), 2), "draws": len(draws)}
                if len(draws) > 1 and setting in SETTINGS:
                    own = np.array([values[ours][k][measure] for k in draws])
                    base = np.array([of[k]["mAP"] for k in draws])
                    if measure == MEASURES[2]:
                        row["less not fitted again"] = paired(found, base)
                    if setting != ours:
                        row[f"less {ours}"] = paired(found, own)
                rows.append(row)
                print(row)
    what = {"protocol": protocol_of(__doc__), "figures": rows, "cells": cells.rows}
    write_result("few-images", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "few-images", seeds=3)
    cells = Cells(given.out)
    if given.figures:
        figures(cells)
        return
    data = read_table(draw_scenes(given.out / "scenes", SEED, SCENES))
    for draw in range(given.seeds):
        for images in IMAGES:
            for setting in (CLOSED, *SETTINGS):
                key = {"images": images, "seed": draw, "setting": setting}
                cells.fill(key, partial(cell_of, data, images, draw, setting, given.out))


if __name__ == "__main__":
    main()
