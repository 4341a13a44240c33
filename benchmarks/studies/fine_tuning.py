"""Does training the encoder on few images gain anything, and what tells it beforehand?

    python benchmarks/studies/fine_tuning.py --root ../shared/data --out /elsewhere/fine-tuning
    python benchmarks/studies/fine_tuning.py --out /elsewhere/fine-tuning --figures

Every cell is one ``gatlabel train`` at 160 px, one thread, on 100 or 500 images drawn by seed:
the closed form alone, and the closed form followed by training of the encoder with rates of
several settings (8 epochs of 100 images, 4 of 500), without the choice between the two. Figures
are mAP of the labels with at least ten test positives on the test images of the set, and the
leave-one-out error of frequent labels of the closed form. A finished cell is a line of
cells.jsonl below ``--out``; ``--figures`` writes benchmarks/results/fine-tuning.json.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from cells import Cells, begin, protocol_of
from numpy.typing import NDArray
from peer_study.sets import StudySet, read_set, write_table
from study import write_result
from torch import Tensor

from gatlabel.baselines.ridge import ridge_start
from gatlabel.cli import main as command_line
from gatlabel.data import FileImages
from gatlabel.inference import predict_features, predict_logits
from gatlabel.labels import LabelSet
from gatlabel.metrics import average_precision
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.proving import RULES

GRID = (("scenes", 100), ("scenes", 500), ("voc2007-part", 100), ("coco-part", 100))
FIRST_SEED = 5  # the settings were chosen on scenes of seeds 0 and 1
EPOCHS = {100: "8", 500: "4"}
#: Rate of the head, factor for the encoder, images per step, and augmentation.
SETTINGS = {
    "closed form": (),
    "3e-4, 0.5, 32": ("3e-4", "0.5", "32", "light"),
    "1e-3, 0.3, 32": ("1e-3", "0.3", "32", "light"),
    "1e-3, 0.3, 8": ("1e-3", "0.3", "8", "light"),
    "1e-3, 0.3, 8, standard": ("1e-3", "0.3", "8", "standard"),
}


def options_of(setting: str, images: int) -> list[str]:
    """Returns the options of a setting, as words of the command."""
    if setting == "closed form":
        return ["--epochs", "0"]
    lr, factor, batch, augmentation = SETTINGS[setting]
    found = ["--lr", lr, "--optimizer.encoder-lr", factor, "--batch-size", batch]
    return [*found, "--images.augmentation", augmentation, "--epochs", EPOCHS[images]]


def words(data: StudySet, images: int, seed: int, options: list[str], folder: Path) -> list[str]:
    """Returns the command of a cell, whose annotations are written to the folder."""
    train, val = data.draw(images, seed)
    rows = [
        [data.names[k], split, "|".join(data.labels[i] for i in np.flatnonzero(data.present[k]))]
        for split, which in (("train", train), ("val", val))
        for k in which
    ]
    write_table(folder / "table.csv", ("image", "split", "labels"), rows)
    (folder / "classes.txt").write_text("\n".join(data.labels) + "\n", encoding="utf-8")
    found = ["train", "--data", "csv", "--root", str(data.root)]
    found += ["--data.annotations", str(folder / "table.csv"), "--seed", str(seed)]
    found += ["--data.classes", str(folder / "classes.txt"), "--output", str(folder / "run")]
    found += ["--workers", "0", "--progress", "false", *options]
    defaults = {"--image-size": "160"}
    if options[:2] != ["--epochs", "0"]:
        defaults |= {"--freeze": "norms", "--keep": "last"}
    return found + [word for k, v in defaults.items() if k not in options for word in (k, v)]


def images_of(data: StudySet, model: MultiLabelClassifier, which: NDArray[np.int64]) -> FileImages:
    """Returns images of a set, as a model reads them."""
    names = [data.names[k] for k in which]
    return FileImages(data.root, LabelSet(model.labels), names, data.present[which])


def mean_ap(data: StudySet, logits: Tensor) -> tuple[float, float]:
    """Returns the mAP of test images, in percent: of frequent labels, and of all."""
    targets = torch.from_numpy(data.judged[data.test])
    ap = np.asarray(average_precision(logits, targets))
    frequent = (targets == 1).sum(0).numpy() >= 10
    return round(100 * float(ap[frequent].mean()), 2), round(100 * float(np.nanmean(ap)), 2)


def run(data: StudySet, images: int, seed: int, options: list[str], out: Path) -> dict[str, Any]:
    """Runs a cell and returns its figures; the error of the closed form where that is all."""
    folder = out / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = words(data, images, seed, options, folder)
    printed, began = io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(printed), contextlib.chdir(out):
        code = command_line(command)
    if code:
        raise SystemExit(f"gatlabel {' '.join(command)} ended with {code}\n{printed.getvalue()}")
    seconds = time.process_time() - began
    model = MultiLabelClassifier.from_pretrained(folder / "run")

    frequent, every = mean_ap(data, predict_logits(model, images_of(data, model, data.test)))
    row = {"mAP": frequent, "seconds": round(seconds, 1), "mAP of all labels": every}
    if options == options_of("closed form", images):
        train = data.draw(images, seed)[0]
        start = ridge_start(
            predict_features(model, images_of(data, model, train)),
            torch.from_numpy(data.present[train]),
        )
        row["frequent error"] = round(start.frequent_error, 4)
    return row


def run_compared(
    data: StudySet, images: int, seed: int, options: list[str], out: Path
) -> dict[str, Any]:
    """Runs a cell that is trained and keeps its weights, whatever validation images say.

    The figures have the change that these find, with its standard error: what a rule would see.
    """
    said: list[float] = []

    def keep(difference: float, error: float) -> bool:
        said.extend((difference, error))
        return True

    with patch.dict(RULES, dict.fromkeys(RULES, keep)):
        row = run(data, images, seed, options, out)
    change, its_error = (round(100 * value, 3) for value in said)
    return row | {"validation change": change, "its error": its_error}


def figures(cells: list[dict[str, Any]]) -> None:
    """Prints means, and writes all cells."""
    by_row = defaultdict(list)
    for cell in cells:
        by_row[cell["set"], cell["images"], cell["setting"]].append(cell)
    for key, found in by_row.items():
        values = np.array([cell["mAP"] for cell in found])
        errors = [cell["frequent error"] for cell in found if "frequent error" in cell]
        print(*key, len(found), f"{values.mean():.1f}", values.tolist(), errors)
    write_result("fine-tuning", {"protocol": protocol_of(__doc__), "cells": cells})


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "fine-tuning", seeds=3)
    cells = Cells(given.out)
    if given.figures:
        figures(cells.rows)
        return
    for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
        for name, images in GRID:
            data = read_set(name, given.root, given.out)
            for setting in SETTINGS:
                key = {"set": name, "images": images, "seed": seed, "setting": setting}
                words = options_of(setting, images)
                cells.fill(key, partial(run, data, images, seed, words, given.out))


if __name__ == "__main__":
    main()
