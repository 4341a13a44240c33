"""One encoder for two sets of photographs and the number of labels, or one encoder for each task?

    python benchmarks/studies/joint_tasks.py --shared ../shared    # two minutes on one core

Tasks: the 20 labels of voc2007-part, the 80 labels of coco-part, and the number of labels of an
image, known in both. Each image is labelled for its own set only. EfficientNet-Lite0 at 128 pixels,
of which the last convolution and the scales of its batch norm are trained (410,000 parameters). The
rest is frozen, so its maps are computed once. All heads start at ridge regression on the features
of the pretrained encoder, with the penalty by leave-one-out.

``joint`` is one model, ``separate`` one per task. Every data set is seen equally often (eight
epochs); batches of 32. The learning rate of each of the four models is chosen from three on a third
of its training images. ``uncertainty`` and ``upgrad`` are joint models with that rate of ``joint``.
``frozen`` is the start. Then five seeds train on all training images; reported on the others.

Intervals of mAP are over images and seeds, of the error of the number over images of the mean over
seeds. Writes benchmarks/results/joint-tasks.json.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy.stats import t
from sklearn.linear_model import RidgeCV
from study import arguments, write_result
from task_models import fitted, outputs_of
from torch import Tensor, nn

from gatlabel.baselines.ridge import ridge_start
from gatlabel.batch import FEATURES
from gatlabel.data import ImageDataset
from gatlabel.encoders import Encoder, create_encoder
from gatlabel.experiments import make_config
from gatlabel.experiments.preparation import read_task
from gatlabel.experiments.statistics import compare_scores
from gatlabel.metrics import mean_average_precision
from gatlabel.model import Model
from gatlabel.multitask.building import parameters_of
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask, RegressionTask, Task

SETS = {"voc": "voc2007-part", "coco": "coco-part"}
PIXELS, EPOCHS, RATES = 128, 8, (3e-5, 1e-4, 3e-4)
PENALTIES = np.geomspace(1, 1e5, 11)
JOINT, NUMBER = "joint", "count"


class LastStage(nn.Module):
    """The last convolution of the encoder, and the mean over the map."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        trunk = encoder.trunk
        self.layers = copy.deepcopy(nn.Sequential(trunk.conv_head, trunk.bn2))
        self.out_features = encoder.out_features

    def train(self, mode: bool = True) -> Self:
        """As usual, but for the batch norm: its pretrained statistics are those of the start."""
        super().train(mode)
        self.layers[1].eval()
        return self

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(B, 320, h, w)`` to features ``(B, 1280)``."""
        return self.layers(maps).mean((2, 3))


@dataclass(frozen=True)
class Images:
    """Maps of images and their targets by task."""

    maps: Tensor
    targets: Mapping[str, Tensor]

    def rows(self, rows: Tensor) -> Images:
        """Some of the images."""
        return Images(self.maps[rows], {name: own[rows] for name, own in self.targets.items()})

    def known(self, task: str) -> Images:
        """The images that are labelled for a task, with its targets alone."""
        own = self.targets[task]
        rows = (own >= 0).any(1)  # NaN is not
        return Images(self.maps[rows], {task: own[rows]})


@torch.no_grad()
def maps_of(encoder: Encoder, source: Any, path: Path) -> Tensor:
    """The input of the last stage for all images, from a file if it is there."""
    if not path.is_file():
        trunk = encoder.trunk
        front = nn.Sequential(trunk.conv_stem, trunk.bn1, trunk.blocks).eval()
        images = ImageDataset(source, encoder.preprocessing.transform())
        pixels = torch.stack([images[k][0] for k in range(len(images))])
        found = torch.cat([front(encoder.normalize(part)) for part in pixels.split(32)])
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, found.numpy())
    return torch.from_numpy(np.load(path))


def read(root: Path, cache: Path) -> tuple[Encoder, dict[str, list[str]], Images, Images]:
    """The encoder, the labels of each set, and training and reported images of both together."""
    encoder = create_encoder("efficientnet_lite0", weights="imagenet", image_size=PIXELS)
    names, parts = {}, {"train": [], "report": []}
    for task, folder in SETS.items():
        found = read_task(make_config("graphs", data="csv", **{"data.root": root / folder}).train)
        names[task] = list(found.names)
        for role, own in parts.items():
            source = getattr(found.roles, role)
            maps = maps_of(encoder, source, cache / f"{folder}-{role}-{PIXELS}.npy")
            own.append((task, maps, torch.from_numpy(np.asarray(source.targets)).float()))
    both = []
    for own in parts.values():
        maps = torch.cat([maps for _, maps, _ in own])
        targets = {}
        for task in SETS:
            absent = [torch.full((len(m), len(names[task])), -1.0) for _, m, _ in own]
            each = [y if of == task else a for (of, _, y), a in zip(own, absent, strict=True)]
            targets[task] = torch.cat(each)
        number = [(y == 1).sum(1, keepdim=True).float() for _, _, y in own]
        targets[NUMBER] = torch.cat(number)
        both.append(Images(maps, targets))
    return encoder, names, both[0], both[1]


def made(encoder: Encoder, names: Mapping[str, list[str]], train: Images, seed: int) -> Model:
    """A model for the tasks that the training images have, at its start."""
    torch.manual_seed(seed)
    stage = LastStage(encoder).eval()
    tasks: list[Task] = []
    for name, targets in train.targets.items():
        if name == NUMBER:
            head = LinearHead(stage.out_features, ["number"])
            task = RegressionTask.standardised(name, ["number"], head, targets)
            with torch.no_grad():
                found = RidgeCV(PENALTIES).fit(stage(train.maps), task.standardise(targets)[:, 0])
            weight = torch.from_numpy(found.coef_).float()[None]
            head.init_linear(weight, torch.tensor([found.intercept_]).float())
            tasks.append(task)
            continue
        own = train.known(name)
        with torch.no_grad():
            start = ridge_start(stage(own.maps), own.targets[name])
        head = LinearHead(stage.out_features, names[name])
        head.init_linear(start.weight, start.bias)
        tasks.append(MultiLabelTask(name, names[name], head))
    return Model({FEATURES: stage}, tasks)


class Study:
    """Trains and scores."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.encoder, self.names, self.train, self.report = read(root, cache)
        self.rates: dict[str, float] = {}
        self.trials: dict[str, dict[float, float]] = {}

    def fit(self, train: Images, seed: int, rate: float, balancing: str = "equal") -> Model:
        """Trains a model of the tasks of these images; at rate 0 it stays at the start."""
        model = made(self.encoder, self.names, train, seed)
        if not rate:
            return model.eval()
        return fitted(
            model, train.maps, train.targets, rate=rate, epochs=EPOCHS, seed=seed,
            balancing=balancing,
        )  # fmt: skip

    def of(self, which: str, images: Images) -> Images:
        """The images and targets that a model learns from."""
        return images if which == JOINT else images.known(which)

    def choose(self) -> None:
        """Chooses the rate of each model on a third of its training images."""
        order = torch.randperm(len(self.train.maps), generator=torch.Generator().manual_seed(0))
        cut = len(order) // 3
        test, train = self.train.rows(order[:cut]), self.train.rows(order[cut:])
        for which in (JOINT, *self.train.targets):
            found = {}
            for rate in RATES:
                model = self.fit(self.of(which, train), 0, rate)
                outputs = outputs_of(model, test.maps)
                tasks = model.tasks.items()
                scores = [task.score(outputs[name], test.targets[name]) for name, task in tasks]
                found[rate] = float(np.mean(scores))  # mAP and R2, both at most 1
            self.trials[which] = found
            self.rates[which] = max(found, key=lambda rate: found[rate])

    def run(self, method: str, seed: int) -> dict[str, Any]:
        """Trains one method: outputs on the reported images, parameters and processor seconds."""
        began = time.process_time()
        if method == "separate":
            models = [
                self.fit(self.of(task, self.train), seed, self.rates[task])
                for task in self.train.targets
            ]
        else:
            balancing = "equal" if method in (JOINT, "frozen") else method
            rate = 0.0 if method == "frozen" else self.rates[JOINT]
            models = [self.fit(self.train, seed, rate, balancing)]
        seconds = time.process_time() - began
        frozen = parameters_of(self.encoder) - parameters_of(LastStage(self.encoder))
        outputs: dict[str, Tensor] = {}
        for model in models:
            found = outputs_of(model, self.report.maps)
            outputs |= {name: task.activation(found[name]) for name, task in model.tasks.items()}
        total = sum(parameters_of(model) + frozen for model in models)
        return {"outputs": outputs, "parameters": total, "seconds": seconds}


def errors_of(outputs: Tensor, truth: Tensor) -> np.ndarray:
    """Absolute error of each image."""
    return (outputs - truth)[:, 0].abs().numpy()


def main() -> None:
    parser = arguments(__doc__, seeds=5, shared=True)
    parser.add_argument("--cache", type=Path, default=Path("runs") / "cache")
    given = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(given.shared / "data", given.cache)
    truth = study.report.targets
    study.choose()
    print(study.trials, flush=True)
    runs: dict[str, list[dict[str, Any]]] = {}
    content: dict[str, Any] = {"rates": study.rates, "trials": study.trials, "methods": {}}
    for method in ("separate", "frozen", JOINT, "uncertainty", "upgrad"):
        own = runs[method] = [study.run(method, seed) for seed in range(given.seeds)]
        row: dict[str, Any] = {
            "parameters": own[0]["parameters"],
            "processor_seconds": [round(run["seconds"], 2) for run in own],
        }
        for task in SETS:
            rows = (truth[task] >= 0).any(1)
            known = truth[task][rows]
            scores, base = (
                torch.stack([run["outputs"][task][rows] for run in each])
                for each in (own, runs["separate"])
            )
            row[task] = [100 * mean_average_precision(s, known).value for s in scores]
            of = compare_scores(scores.numpy(), base.numpy(), known.numpy())
            row[f"{task} over separate"] = [round(100 * of.value, 2), of.ends]
        errors = np.stack([errors_of(run["outputs"][NUMBER], truth[NUMBER]) for run in own])
        base = np.stack([errors_of(r["outputs"][NUMBER], truth[NUMBER]) for r in runs["separate"]])
        row["MAE"] = errors.mean(1).round(4).tolist()
        gained = (errors - base).mean(0)
        half = t.ppf(0.975, len(gained) - 1) * gained.std(ddof=1) / len(gained) ** 0.5
        ends = [round(float(gained.mean() + side * half), 3) for side in (-1, 1)]
        row["MAE over separate"] = [round(float(gained.mean()), 3), ends]
        content["methods"][method] = row
        print(method, row, flush=True)
        write_result("joint-tasks", content)


if __name__ == "__main__":
    main()
