"""Few labels, many images: do pseudo-labels and pre-training beat the same time spent supervised?

    python benchmarks/studies/little_labels.py --root ../shared/data    # 40 minutes of CPU time
    python benchmarks/studies/little_labels.py --parts frozen           # one of them

**Pseudo-labels.** voc2007-part and coco-part; 60 % of the images train, of which 10 % are labelled,
the others test; ten divisions, of which the network has the first five. Divisions 200 and beyond
served to choose the closed form. Frozen EfficientNet-Lite0 features (160 pixels):

- ``ridge``: closed form on the labelled images;
- ``ridge, completed``: closed form with unknown labels estimated (``completed_start``);
- ``head``: a linear head from ridge, trained on the labelled images, repeated so that it takes as
  many steps as the others;
- ``head, equal time``: the same with as many steps as fit in the CPU time of ``ridge, completed``;
- ``head, pseudo`` and ``head, pseudo by graph``: trained on all images with pseudo-labels (CAP).

The whole network at 96 pixels, by ``gatlabel.training.train``, from ImageNet weights: ``network``
on the labelled images, repeated likewise, and ``network, pseudo``; about 80 steps. Every step sees
as many images in all methods of a kind, and the CPU time of each run is in the results.

**Pre-training.** Easy scenes (see ``EASY``; 64 pixels, random weights), 4,000 images of which 5 %
are labelled, drawn in advance. ``pretrained`` is ``pretrain`` on all of them, then training on the
labelled ones; ``supervised`` is training on these from random weights for the same CPU time, and
``supervised, short`` for about a quarter of it. The settings were chosen on seed 100, which is not
reported, and training with batches of 8 at 3e-3 after a first run. ``ridge, pretrained`` and
``ridge, random`` are closed forms on frozen features.

Writes benchmarks/results/little-labels.json: mAP in points and CPU seconds of every run; for frozen
features also the mAP of ``shown`` labels, which a labelled image has. Parts that are not measured
keep their last results.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from similarity import Data, photographs
from study import RESULTS, arguments, write_result
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.data import ImageSource, read_csv
from gatlabel.data.scenes import read_scenes
from gatlabel.data.torch_datasets import DatasetImages
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.fewshot.results import Interval
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.metrics import average_precision, mean_average_precision
from gatlabel.missing import Pseudo
from gatlabel.missing.starting import completed_start
from gatlabel.nn import LinearHead
from gatlabel.pretraining import PretrainConfig, pretrain
from gatlabel.training import TrainConfig, train

SETS, PARTS = ("voc2007-part", "coco-part"), ("frozen", "network", "scenes")
SHARE, LABELLED = 0.6, 0.1
DIVISIONS = {"frozen": 10, "network": 5, "scenes": 5}
HEAD_STEPS, NETWORK_EPOCHS, SIDE = 400, {"voc2007-part": 4, "coco-part": 16}, 96
SCENES, SCENE_SIDE, SCENE_LABELLED, SCENE_TESTS = 4000, 64, 0.05, 600
#: With the preset's options nothing is learned from random weights in minutes.
EASY = {"labels": 8, "hidden": 0.0, "difficulty": 0.0, "clutter": 0.0, "long_tail": 0.0}
BACKBONE = "timm:test_resnet"
PRETRAIN: dict[str, Any] = {
    "method": "dcl", "epochs": 3, "batch_size": 16, "lr": 3e-3, "colour": 1.0, "grey": 0.5,
}  # fmt: skip
TRAINING = {
    "run.epochs": 12, "run.batch_size": 8, "optimizer.lr": 3e-3, "optimizer.encoder_lr": 1.0,
}  # fmt: skip
#: In a short time a lower rate is better.
SHORT = {**TRAINING, "optimizer.lr": 1e-3}
#: How often an epoch of fine-tuning and of short supervised training has each labelled image.
REPEATS, SHORT_REPEATS = 5, 4
CLOSED = {"head.start": "ridge", "run.epochs": 0}


class Items:
    """Some images of a source with given targets, as a map-style data set."""

    def __init__(self, source: ImageSource, rows: Sequence[int], targets: Tensor) -> None:
        self.labels, self.targets = list(source.labels), targets
        self.images = {row: source.load(row) for row in sorted(set(rows))}
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        return self.images[self.rows[index]], self.targets[index]


def divided(images: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of labelled, unlabelled and test images."""
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    cut = round(SHARE * images)
    known = max(10, round(LABELLED * cut))
    return order[:known], order[known:cut], order[cut:]


def points(scores: Tensor, targets: Tensor) -> float:
    """Returns mAP in points, over labels with a positive."""
    return 100 * mean_average_precision(scores, targets).value


def on_features(data: Data, seed: int) -> dict[str, dict[str, float]]:
    """Methods on frozen features, by name: mAP and CPU seconds."""
    known, further, test = divided(len(data.features), seed)
    rows = torch.cat([known, further])
    targets = data.targets[rows].float()
    targets[len(known) :] = -1
    array = data.features.numpy()
    every, labelled = Features(array, rows.numpy()), Features(array, known.numpy())
    judged, truth = Features(array, test.numpy(), labelled.scale), data.targets[test]
    scaled = Features(array, rows.numpy(), labelled.scale)
    graph = Cooccurrence.from_targets(targets, list(data.labels)).graph("conditional")
    shown = (targets > 0).any(0)
    found: dict[str, dict[str, float]] = {}

    def keep(name: str, scores: Tensor, seconds: float) -> None:
        precision = average_precision(scores, truth)[shown]
        precision = precision[~precision.isnan()]
        found[name] = {
            "mAP": points(scores, truth), "shown": 100 * float(precision.mean()),
            "seconds": seconds,
        }  # fmt: skip

    def closed(name: str, start: LinearStart, began: float) -> None:
        scores = judged[np.arange(len(judged))] @ start.weight.T + start.bias
        keep(name, scores, time.process_time() - began)

    def trained(
        name: str,
        images: Features,
        wanted: Tensor,
        completion: Pseudo | None,
        steps: int = HEAD_STEPS,
    ) -> None:
        began = time.process_time()
        torch.manual_seed(seed)
        head = LinearHead(images.width, labels=list(data.labels))
        options = FitOptions(lr=1e-2, epochs=1, least_steps=steps, batch_size=32)
        start = partial(ridge_start, images[np.arange(len(images))])
        fit_head(head, images, wanted, options, seed, completion, start)
        seconds = time.process_time() - began
        keep(name, predict(head, Features(array, test.numpy(), images.scale)), seconds)

    began = time.process_time()
    closed("ridge", ridge_start(labelled[np.arange(len(known))], targets[: len(known)]), began)
    began = time.process_time()
    inputs = scaled[np.arange(len(rows))]
    closed(
        "ridge, completed",
        completed_start(partial(ridge_start, inputs), Pseudo(targets), inputs),
        began,
    )
    trained("head", labelled, targets[: len(known)], None)
    spent = {name: each["seconds"] for name, each in found.items()}
    step = (spent["head"] - spent["ridge"]) / HEAD_STEPS
    steps = max(1, int((spent["ridge, completed"] - spent["ridge"]) / step))
    trained("head, equal time", labelled, targets[: len(known)], None, steps)
    trained("head, pseudo", every, targets, Pseudo(targets))
    trained("head, pseudo by graph", every, targets, Pseudo(targets, graph, by_graph=True))
    return found


def networks(name: str, root: Path, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """The whole network, supervised and with pseudo-labels."""
    splits = read_csv(root / name, root / name / "labels.csv")
    sources = [source for _, source in splits.items() if len(source)]
    images = [(source, row) for source in sources for row in range(len(source))]
    targets = torch.cat([source.targets.to_dense() for source in sources]).float()
    known, further, test = divided(len(images), seed)
    joined = _Joined(images, splits.labels)
    both = torch.cat([known, further])
    repeated = known.repeat(-(-len(both) // len(known)))[: len(both)]
    hidden = targets[both].clone()
    hidden[len(known) :] = -1
    judged = Items(joined, test.tolist(), targets[test])
    val = Items(joined, test[:12].tolist(), targets[test[:12]])  # decides nothing: the last is kept
    cases = {
        "network": (repeated, targets[repeated], "ignore"),
        "network, pseudo": (both, hidden, "pseudo"),
    }
    found = {}
    for case, (rows, wanted, unknown) in cases.items():
        options = {
            "head": "linear", "encoder.backbone": "efficientnet_lite0",
            "encoder.weights": "default", "images.size": SIDE, "images.resize": "squash",
            "missing.unknown": unknown, "run.epochs": NETWORK_EPOCHS[name], "run.seed": seed,
            "run.workers": 0,
        }  # fmt: skip
        data = {"train": Items(joined, rows.tolist(), wanted), "val": val, "test": judged}
        found[case] = timed(options, data, folder / f"{name}-{seed}-{unknown}")
    return found


class _Joined:
    """The images of several sources, by one number."""

    def __init__(self, images: Sequence[tuple[ImageSource, int]], labels: LabelSet) -> None:
        self.images, self.labels = images, labels

    def load(self, row: int) -> Any:
        source, place = self.images[row]
        return source.load(place)


def timed(options: dict[str, Any], data: dict[str, Any], output: Path) -> dict[str, float]:
    """Trains by options; returns test mAP in points and the CPU seconds of it all."""
    config = TrainConfig().with_options(
        {**options, "run.output": output, "run.progress": False, "run.compare": "no"}
    )
    began = time.process_time()
    result = train(config, data=data, log=lambda line: None)
    seconds = time.process_time() - began
    value = next(e.report.metrics["mAP"] for e in result.evaluations if e.split == "test")
    return {"mAP": 100 * value, "seconds": seconds}


def scenes(seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Scenes from random weights, with and without pre-training."""
    splits = read_scenes(
        "voc", train=SCENES, val=20, test=SCENE_TESTS, seed=seed, size=SCENE_SIDE, **EASY
    )
    train_targets = splits.train.targets.to_dense().float()
    # in memory, so that no method is charged for drawing
    source = DatasetImages(Items(splits.train, range(SCENES), train_targets))
    few = round(SCENE_LABELLED * SCENES)
    test = Items(splits.test, range(SCENE_TESTS), splits.test.targets.to_dense().float())
    val = Items(splits.val, range(20), splits.val.targets.to_dense().float())
    before = folder / f"pre-{seed}"
    began = time.process_time()
    pretrain(
        source,
        PretrainConfig(
            **PRETRAIN, backbone=BACKBONE, image_size=SCENE_SIDE, seed=seed, workers=0,
            progress=False, output=before,
        ),
        log=lambda line: None,
    )  # fmt: skip
    spent = time.process_time() - began
    common = {
        "head": "linear", "encoder.backbone": BACKBONE, "images.size": SCENE_SIDE,
        "images.augmentation": "standard", "run.seed": seed, "run.workers": 0,
    }  # fmt: skip

    def tuned(name: str, weights: str, repeats: int, options: dict[str, Any]) -> dict[str, float]:
        rows = list(range(few)) * repeats
        data = {"train": Items(source, rows, train_targets[rows]), "val": val, "test": test}
        path = folder / f"{name}-{seed}"
        return timed({**common, **options, "encoder.weights": weights}, data, path)

    pretrained = tuned("pretrained", str(before), REPEATS, TRAINING)
    short = tuned("short", "none", SHORT_REPEATS, SHORT)
    repeats = math.ceil(SHORT_REPEATS * (spent + pretrained["seconds"]) / short["seconds"])
    found = {
        "pretrained": {**pretrained, "seconds": pretrained["seconds"] + spent},
        "supervised, short": short,
        "supervised": tuned("supervised", "none", repeats, TRAINING),
        "ridge, pretrained": tuned("ridge", str(before), 1, CLOSED),
        "ridge, random": tuned("random", "none", 1, CLOSED),
    }
    found["ridge, pretrained"]["seconds"] += spent
    return found


def differences(runs: list[dict[str, dict[str, float]]], pairs: Sequence[tuple[str, str]]) -> Any:
    """Paired differences of mAP over seeds, with 95 % intervals."""
    return {
        f"{one} minus {other}{kind}": dataclasses.asdict(
            Interval.of([run[one][metric] - run[other][metric] for run in runs])
        )
        for one, other in pairs
        for metric, kind in (("mAP", ""), ("shown", ", shown labels"))
        if metric in runs[0][one]
    }


PAIRS = (
    ("ridge, completed", "ridge"),
    ("ridge, completed", "head, equal time"),
    ("head, pseudo", "head"),
    ("head, pseudo by graph", "head"),
    ("head, pseudo by graph", "head, pseudo"),
)
NETWORK_PAIRS = (("network, pseudo", "network"),)
SCENE_PAIRS = (
    ("pretrained", "supervised"),
    ("pretrained", "supervised, short"),
    ("ridge, pretrained", "ridge, random"),
)


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, help="instead of " + str(DIVISIONS))
    parser.add_argument("--first-seed", type=int, default=0, help="of scenes")
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "features")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    given = parser.parse_args()
    root = given.root.resolve()
    torch.set_num_threads(1)

    def keep(name: str, runs: list[dict[str, dict[str, float]]], pairs: Any) -> None:
        case = {"data": name, "runs": runs, "differences": differences(runs, pairs)}
        for method in runs[0]:
            means = {key: np.mean([run[method][key] for run in runs]) for key in runs[0][method]}
            print(name, method, {key: round(float(mean), 2) for key, mean in means.items()})
        for pair, interval in case["differences"].items():
            print(f"  {pair}:", {end: round(value, 1) for end, value in interval.items()})
        print(flush=True)
        path = RESULTS / "little-labels.json"  # what is measured is kept
        before = json.loads(path.read_text())["cases"] if path.is_file() else []
        cases = [each for each in before if each["data"] != name]
        write_result("little-labels", {"cases": [*cases, case]})

    seeds = {part: range(given.seeds or count) for part, count in DIVISIONS.items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in given.sets:
            if not (root / name).is_dir():
                print(f"{name}: not there, left out")
                continue
            if "frozen" in given.parts:
                data = photographs(name, root, given.cache)
                runs = [on_features(data, seed) for seed in seeds["frozen"]]
                keep(f"{name}, frozen", runs, PAIRS)
            if "network" in given.parts:
                tuned = [networks(name, root, seed, folder) for seed in seeds["network"]]
                keep(f"{name}, network", tuned, NETWORK_PAIRS)
        if "scenes" in given.parts:
            first, runs = given.first_seed, []
            for seed in seeds["scenes"]:
                runs.append(scenes(first + seed, folder))
                if len(runs) > 1:  # it takes long, so a part of it is kept
                    keep(f"scenes, seeds from {first}" if first else "scenes", runs, SCENE_PAIRS)
    print(f"written to {RESULTS / 'little-labels.json'}")


if __name__ == "__main__":
    main()
