"""Features of the last stage or of the last three: which are better, and does leave-one-out know?

    python benchmarks/studies/stage_choice.py --root ../shared/data --out /elsewhere/stages

Ridge regression on frozen EfficientNet-Lite0 features at 160 and 224 px, with 1 and with 3 stages,
on drawings of 60 to 500 training images. The choice is that of the recipe ``auto``: the lower
leave-one-out error. Figures are mAP of the labels with at least ten test positives on the test
images of the set. The scenes are another drawing than that of peers.py. Writes
benchmarks/results/stage-choice.json; docs/studies/stages.md has the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from peer_study.sets import StudySet, read_set
from scipy import stats
from study import arguments, write_result
from torch import Tensor

from gatlabel.baselines.ridge import ridge_start
from gatlabel.data import FileImages
from gatlabel.features import TOGETHER, extract
from gatlabel.labels import LabelSet
from gatlabel.metrics import average_precision
from gatlabel.model import MultiLabelClassifier

SCENES_SEED = 19
FIRST_SEED = 20  # the rule was chosen on drawings 0 to 9
FREQUENT = 10  # test positives of the labels of the figures
SIZES = (160, 224)
IMAGES = {"scenes": (100, 500), "voc2007-part": (60, 100, 250, 500), "coco-part": (60, 100)}


def features(data: StudySet, size: int, stages: int, cache: Path) -> Tensor:
    """Returns the features of all images of a set."""
    labels = LabelSet(data.labels)
    model = MultiLabelClassifier.create(
        "efficientnet_lite0",
        "linear",
        labels=labels,
        weights="default",
        image_size=size,
        stages=stages,
    )
    source = FileImages(data.root, labels, data.names, data.present)
    return torch.tensor(extract(model, source, "pooled", cache, together=True).open())


def cell(
    data: StudySet, found: dict[int, Tensor], images: int, seed: int
) -> dict[str, list[float]]:
    """Fits both on the images of a seed; returns test mAP and error of each, and of the choice."""
    train, _ = data.draw(images, seed)
    judged = torch.from_numpy(data.judged[data.test])
    frequent = (judged == 1).sum(0) >= FREQUENT
    figures, errors = [], []
    for x in found.values():
        start = ridge_start(x[train], torch.from_numpy(data.present[train]))
        logits = x[data.test] @ start.weight.T + start.bias
        ap = torch.as_tensor(average_precision(logits, judged))
        figures.append(100 * float(ap[frequent].mean()))
        errors.append(float(start.error))
    return {"mAP": [*figures, figures[int(np.argmin(errors))]], "leave-one-out error": errors}


def row(data: StudySet, found: dict[int, Tensor], images: int, seeds: int) -> dict[str, Any]:
    """Returns the figures of all seeds, and of the differences from one stage."""
    cells = [cell(data, found, images, FIRST_SEED + k) for k in range(seeds)]
    points = np.array([each["mAP"] for each in cells])
    errors = np.array([each["leave-one-out error"] for each in cells])
    gains = {}
    for name, column in (("three", 1), ("choice", 2)):
        each = points[:, column] - points[:, 0]
        half = stats.t.ppf(0.975, seeds - 1) * each.std(ddof=1) / seeds**0.5
        gains[name] = [
            round(float(v), 2) for v in (each.mean(), each.mean() - half, each.mean() + half)
        ]
    return {
        "images": images,
        "mAP": [round(float(v), 2) for v in points.mean(0)],
        "gain over one stage": gains,
        "three chosen": int((errors[:, 1] < errors[:, 0]).sum()),
        "raw mAP": points.round(3).tolist(),
        "raw leave-one-out error": errors.round(5).tolist(),
    }


def main() -> None:
    """Measures every set, size and number of images."""
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs") / "stages")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, numbers in IMAGES.items():
        data = read_set(name, options.root, options.out, SCENES_SEED)
        for size in SIZES:
            found = {s: features(data, size, s, options.out / "cache") for s in (1, TOGETHER)}
            for images in numbers:
                result = row(data, found, images, options.seeds)
                rows.append({"set": name, "size": size, **result})
                print({k: v for k, v in rows[-1].items() if "raw" not in k}, flush=True)
    write_result("stage-choice", {"seeds": options.seeds, "rows": rows})


if __name__ == "__main__":
    main()
