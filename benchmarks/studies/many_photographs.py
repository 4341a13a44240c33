"""At which rates, and for how long, does training the encoder pay on photographs?

    python benchmarks/studies/many_photographs.py --root ../shared/data --out /elsewhere/many
    python benchmarks/studies/many_photographs.py --out /elsewhere/many --figures

Two sets in five folds, one of which is tested on: all images of voc2007-part and coco-part with the
20 labels of the first, 60 of them reserved at random (952 to train on), and voc2007-part without
the 60 images reserved for validation (250 drawn to train on). ``gatlabel train`` at 160 px, one
thread, last stage of the encoder, light augmentation: the closed form, and training from it at
several settings, with its weights always kept. Beside these: weights half-way between both, and
classifiers fitted again on the trained encoder. Figures are mAP of labels with at least ten test
positives, and of all; differences are within a fold. Folds share training images, so intervals
over folds are too narrow. Cells of further settings, of the first fold only, were run by hand. A
finished cell is a line of cells.jsonl below ``--out``; ``--figures`` writes
benchmarks/results/many-photographs.json.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from cells import Cell, Cells, begin, protocol_of
from fine_tuning import images_of, mean_ap, run
from peer_study.sets import StudySet, read_set
from study import write_result
from task_models import paired

from gatlabel.baselines.ridge import ridge_start
from gatlabel.inference import predict_features, predict_logits
from gatlabel.model import MultiLabelClassifier

FOLDS = 5
RESERVED = 60
BOTH = "both"
#: Set, number of images, and settings: rate of the head, factor for the encoder, epochs.
GRID = (
    (BOTH, 952, (("1e-4", "0.3", "4"), ("3e-4", "0.5", "4"))),
    ("voc2007-part", 250, (("1e-4", "0.3", "8"), ("3e-4", "0.5", "24"))),
)
MODELS = ("closed form", "trained", "half-way", "fitted again")
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


def cell_of(data: StudySet, images: int, setting: tuple[str, ...], out: Path) -> Cell:
    """Runs a cell; returns mAP of frequent and of all labels for each of the models."""
    lr, factor, epochs = setting
    rates = ["--lr", lr, "--optimizer.encoder-lr", factor, "--images.augmentation", "light"]
    models = []
    for options in (["--epochs", "0", "--encoder.stages", "1"], [*rates, "--epochs", epochs]):
        run(data, images, 0, options, out)
        models.append(MultiLabelClassifier.from_pretrained(out / "work" / "run"))
    start, trained = models
    every = dict(zip(MODELS, (*models, half_way(start, trained)), strict=False))
    found: dict[str, Any] = {}
    for name, model in every.items():
        tested = images_of(data, model, data.test)
        found[name] = mean_ap(data, predict_logits(model, tested))
    train = data.draw(images, 0)[0]
    features, scored = (
        predict_features(trained, images_of(data, trained, of)) for of in (train, data.test)
    )
    again = ridge_start(features, torch.from_numpy(data.present[train]))
    return found | {MODELS[3]: mean_ap(data, scored @ again.weight.T + again.bias)}


def half_way(start: MultiLabelClassifier, trained: MultiLabelClassifier) -> MultiLabelClassifier:
    """Returns a model with the mean of two models' weights."""
    model = copy.deepcopy(trained)
    first = start.state_dict()
    mean = {
        name: torch.lerp(first[name], value, 0.5) if value.is_floating_point() else value
        for name, value in trained.state_dict().items()
    }
    model.load_state_dict(mean)
    return model


def figures(cells: Cells) -> None:
    """Prints and writes means, and what training changed."""
    rows = []
    keys = dict.fromkeys((c["set"], c["images"], c["setting"]) for c in cells.rows)
    for name, images, setting in keys:
        found = cells.find(set=name, images=images, setting=setting)
        for k, measure in enumerate(MEASURES):
            models = [model for model in MODELS if all(model in cell for cell in found)]
            values = {of: np.array([cell[of][k] for cell in found]) for of in models}
            for model in models:
                row = {"set": name, "images": images, "setting": setting, "measure": measure}
                row |= {"model": model, "mean": round(float(values[model].mean()), 2)}
                row |= {"folds": len(found)}
                if model != MODELS[0] and len(found) > 1:
                    row |= paired(values[model], values[MODELS[0]])
                rows.append(row)
                print(row)
    what = {"protocol": protocol_of(__doc__), "figures": rows, "cells": cells.rows}
    write_result("many-photographs", what)


def main() -> None:
    """Runs the cells that are missing, or prints and writes the figures."""
    given = begin(__doc__, "many-photographs")
    cells = Cells(given.out)
    if given.figures:
        figures(cells)
        return
    for name, images, settings in GRID:
        read = both if name == BOTH else partial(read_set, name)
        whole = read(given.root, given.out)
        for fold in range(FOLDS):
            data = fold_of(whole, fold)
            count = min(images, len(data.pool))  # some folds have an image less
            for setting in settings:
                key = {"set": name, "images": images, "setting": ", ".join(setting), "fold": fold}
                cells.fill(key, partial(cell_of, data, count, setting, given.out))


if __name__ == "__main__":
    main()
