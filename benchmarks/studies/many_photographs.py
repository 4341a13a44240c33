"""Does training the encoder pay on the most photographs that are at hand?

    python benchmarks/studies/many_photographs.py --root ../shared/data --out /elsewhere/many
    python benchmarks/studies/many_photographs.py --out /elsewhere/many --figures

Two sets in five folds, one of which is tested on: voc2007-part without the 60 images reserved for
validation (749 to train on, or 250 drawn of these), and all images of voc2007-part and coco-part
with the 20 labels of the first, 60 of them reserved at random (952 to train on). ``gatlabel train``
at 160 px, one thread, with the settings of ``auto`` for photographs on which it trains the encoder:
the closed form alone, and 12 epochs (24 of 250 images, as with the preset ``best``) after it, which
are always kept, with the change that validation images find recorded. Figures are mAP of labels
with at least ten test positives, and of all; differences are within a fold. Folds share training
images, so intervals over folds are too narrow. A finished cell is a line of cells.jsonl below
``--out``; ``--figures`` writes benchmarks/results/many-photographs.json.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
from cells import Cells, begin, protocol_of
from fine_tuning import run, run_compared
from peer_study.sets import StudySet, read_set
from study import write_result
from task_models import paired

from gatlabel.training.proving import RULES

FOLDS = 5
RESERVED = 60
BOTH = "both"
#: Set, number of images and epochs.
GRID = ((BOTH, 952, "12"), ("voc2007-part", 250, "24"), ("voc2007-part", 749, "12"))
RATES = ("--lr", "3e-4", "--optimizer.encoder-lr", "0.5", "--images.augmentation", "light")
SETTINGS = ("closed form", "trained")
MEASURES = ("mAP", "mAP of all labels")
#: Labels of voc2007-part that have another name in coco-part.
IN_COCO = {
    "aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle",
    "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv",
}  # fmt: skip


def both(root: Path, out: Path) -> StudySet:
    """Returns the images of both sets of photographs, with the labels of voc2007-part."""
    voc, coco = (read_set(name, root, out) for name in ("voc2007-part", "coco-part"))
    columns = [coco.labels.index(IN_COCO.get(label, label)) for label in voc.labels]
    count = len(voc.names) + len(coco.names)
    order = np.random.default_rng(29).permutation(count)
    return StudySet(
        root,
        voc.labels,
        tuple(f"{data.root.name}/{name}" for data in (voc, coco) for name in data.names),
        np.concatenate([voc.present, coco.present[:, columns]]),
        np.concatenate([voc.judged, coco.judged[:, columns]]),
        np.sort(order[RESERVED:]), np.sort(order[:RESERVED]), np.zeros(0, np.int64),
    )  # fmt: skip


def fold_of(data: StudySet, fold: int) -> StudySet:
    """Returns the set with other roles: a fifth of all images to test on."""
    every = np.sort(np.concatenate([data.pool, data.test]))
    order = np.random.default_rng(29).permutation(every)
    test = order[fold::FOLDS]
    return dataclasses.replace(data, test=np.sort(test), pool=np.setdiff1d(every, test))


def figures(cells: Cells) -> None:
    """Prints and writes means, and what training changed."""
    rows = []
    for name, images, _ in GRID:
        closed, trained = (
            {c["fold"]: c for c in cells.find(set=name, images=images, setting=setting)}
            for setting in SETTINGS
        )
        folds = sorted(closed.keys() & trained.keys())
        for measure in MEASURES if folds else ():
            after, before = (np.array([of[k][measure] for k in folds]) for of in (trained, closed))
            row = {"set": name, "images": images, "measure": measure, "folds": len(folds)}
            row |= {"closed form": round(float(before.mean()), 2)}
            row |= {"trained": round(float(after.mean()), 2)}
            said = [trained[k] for k in folds if "its error" in trained[k]]
            if len(said) == len(folds):
                proven = [RULES["proven"](c["validation change"], c["its error"]) for c in said]
                row["proven"] = round(float(np.where(proven, after, before).mean()), 2)
            rows.append(row | (paired(after, before) if len(folds) > 1 else {}))
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
    for name, images, epochs in GRID:
        read = both if name == BOTH else partial(read_set, name)
        whole = read(given.root, given.out)
        for fold in range(FOLDS):
            data = fold_of(whole, fold)
            count = min(images, len(data.pool))  # some folds have an image less
            key = {"set": name, "images": images, "fold": fold}
            closed = partial(run, data, count, 0, ["--epochs", "0"], given.out)
            cells.fill(key | {"setting": "closed form"}, closed)
            options = [*RATES, "--epochs", epochs, "--keep", "proven"]
            trained = partial(run_compared, data, count, 0, options, given.out)
            cells.fill(key | {"setting": "trained"}, trained)


if __name__ == "__main__":
    main()
