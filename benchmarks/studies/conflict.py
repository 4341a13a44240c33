"""Does combining gradients beat a tuned weighted sum, where tasks conflict and where they do not?

    python benchmarks/studies/conflict.py --shared ../shared    # ten minutes on one core

``orthogonal``: four numbers that depend on four different directions of the input, in units that
differ up to thirtyfold, and two shared features: only two directions fit in. ``compatible``: the
same, but the four directions lie in one plane, so two features are enough. ``photographs``: the 20
labels of voc2007-part and their number, from frozen features through 64 shared ones.

The criterion is the least relative improvement over the tasks: for numbers R2, which is the
improvement over the mean; for photographs the change in per cent against a model of one task with
as many trials. Every method has nine trials on two tuning draws: the sum three learning rates and
three weights, the others nine learning rates. The weights of the sum are powers of the tasks'
spread (orthogonal, compatible) or 0.1 to 10 for the number (photographs). ``sum, 18 trials`` also
varies each weight by a random factor. Then each is trained on ten other draws (photographs: five)
with what was chosen. Writes benchmarks/results/conflict.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from similarity import Data, photographs
from study import RESULTS, arguments, write_result
from task_models import fitted, outputs_of, paired
from torch import Tensor, nn

from gatlabel.batch import FEATURES
from gatlabel.experiments.statistics import holm
from gatlabel.files import read_json
from gatlabel.model import Model
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask, RegressionTask, Task

METHODS = ("gradnorm", "upgrad", "mgda", "pcgrad", "cagrad", "imtlg")
WORLDS = ("orthogonal", "compatible", "photographs")
TUNING = (100, 101)
#: Learning rates of the sum: for numbers, and for photographs.
RATES, SMALL_RATES = (1e-2, 3e-2, 1e-1), (3e-3, 1e-2, 3e-2)
MANY_RATES = tuple(np.geomspace(1e-3, 1e-1, 9).tolist())
SCALES = (1.0, 3.0, 10.0, 30.0)
WIDTH, NOISE, IMAGES, EPOCHS = 8, 0.3, 256, 15
#: Directions in one plane, at most 60 degrees apart.
PLANE = [[np.cos(a), np.sin(a)] for a in np.deg2rad([0, 20, 40, 60])]


class Shared(nn.Sequential):
    """The shared features: a linear layer, with a nonlinearity for photographs."""

    def __init__(self, inputs: int, out_features: int, *after: nn.Module) -> None:
        super().__init__(nn.Linear(inputs, out_features), *after)
        self.out_features = out_features


@dataclass(frozen=True)
class Draw:
    """A training and a test set, and how models for it are made and scored."""

    seed: int
    inputs: Tensor
    targets: Mapping[str, Tensor]
    test: Tensor
    truth: Mapping[str, Tensor]
    shared: Callable[[], Shared]
    tasks: Callable[[int], list[Task]]
    epochs: int

    def scores(self, names: list[str] | None = None, **options: Any) -> dict[str, float]:
        """Trains a model of some tasks, and returns its scores; greater is better."""
        torch.manual_seed(self.seed)
        shared = self.shared()
        tasks = [t for t in self.tasks(shared.out_features) if names is None or t.name in names]
        model = Model({FEATURES: shared}, tasks)
        own = {task.name: self.targets[task.name] for task in tasks}
        fitted(model, self.inputs, own, epochs=self.epochs, seed=self.seed, **options)
        outputs = outputs_of(model, self.test)
        return {task.name: score(task, outputs[task.name], self.truth) for task in tasks}


def score(task: Task, outputs: Tensor, truth: Mapping[str, Tensor]) -> float:
    """R2, or mAP in per cent; of the number of labels the negative RMSE."""
    found = task.metrics(outputs, truth[task.name])
    if task.kind == "multilabel":
        return 100 * found["mAP"]
    return -found["RMSE"] if task.name == "count" else found["R2"]


def numbers(orthogonal: bool, seed: int) -> Draw:
    """Four numbers of different units."""
    random = torch.Generator().manual_seed(seed)
    directions = torch.eye(WIDTH)[: len(SCALES)]
    if not orthogonal:
        directions = torch.zeros(len(SCALES), WIDTH)
        directions[:, :2] = torch.tensor(PLANE)
    names = [f"task {scale:g}" for scale in SCALES]
    names = [name.replace(" ", "-") for name in names]

    def sample(images: int) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = torch.randn(images, WIDTH, generator=random)
        noise = NOISE * torch.randn(images, len(SCALES), generator=random)
        values = (inputs @ directions.T + noise) * torch.tensor(SCALES)
        return inputs, dict(zip(names, values.split(1, dim=1), strict=True))

    def tasks(width: int) -> list[Task]:
        return [RegressionTask(name, ["y"], LinearHead(width, ["y"])) for name in names]

    return Draw(
        seed, *sample(IMAGES), *sample(2000), lambda: Shared(WIDTH, 2), tasks, epochs=EPOCHS
    )


def images(data: Data, seed: int) -> Draw:
    """Labels and their number, on 60 % of the images."""
    order = torch.randperm(len(data.features), generator=torch.Generator().manual_seed(seed))
    cut = round(0.6 * len(order))
    features = nn.functional.normalize(data.features, dim=1) * data.features.shape[1] ** 0.5
    labels = data.targets.float()
    number = (labels == 1).sum(1, keepdim=True).float()

    def part(rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return features[rows], {"labels": labels[rows], "count": number[rows]}

    def tasks(width: int) -> list[Task]:
        head = LinearHead(width, ["number"])
        names = data.labels.names
        return [
            MultiLabelTask("labels", names, LinearHead(width, names)),
            RegressionTask.standardised("count", ["number"], head, number[order[:cut]]),
        ]

    shared = lambda: Shared(features.shape[1], 64, nn.ReLU())  # noqa: E731
    return Draw(seed, *part(order[:cut]), *part(order[cut:]), shared, tasks, epochs=20)


def sums(draw: Draw, several: int = 1) -> list[dict[str, Any]]:
    """The trials of the weighted sum."""
    random = np.random.default_rng(0)
    trials = []
    for number in range(several):
        for power in (0.0, 1.0, 2.0):
            if "labels" in draw.targets:
                weights = {"labels": 1.0, "count": 10 ** (power - 1)}
            else:
                weights = {name: float(y.std()) ** -power for name, y in draw.targets.items()}
            if number:
                weights = {k: w * 10 ** random.uniform(-0.5, 0.5) for k, w in weights.items()}
            mean = float(np.mean(list(weights.values())))
            weights = {name: weight / mean for name, weight in weights.items()}
            rates = SMALL_RATES if "labels" in weights else RATES
            trials += [{"balancing": "fixed", "weights": weights, "rate": rate} for rate in rates]
    return trials


class World:
    """One setting: draws, the criterion, and what every method reaches."""

    def __init__(self, name: str, make: Callable[[int], Draw], seeds: int) -> None:
        self.name = name
        self.tuning = [make(seed) for seed in TUNING]
        self.draws = [make(seed) for seed in range(seeds)]
        self.single: dict[int, dict[str, float]] = {}

    def alone(self) -> dict[str, float]:
        """Trains models of one task, tuned alike; returns the chosen rate of each task."""
        chosen = {}
        for task in self.draws[0].targets:
            runs = {
                rate: [draw.scores([task], rate=rate)[task] for draw in self.tuning]
                for rate in MANY_RATES
            }
            chosen[task] = max(runs, key=lambda rate: np.mean(runs[rate]))
        for draw in [*self.tuning, *self.draws]:
            self.single[draw.seed] = {
                task: draw.scores([task], rate=rate)[task] for task, rate in chosen.items()
            }
        return chosen

    def improvements(self, draw: Draw, **options: Any) -> dict[str, float]:
        """R2, or the change against single tasks in per cent."""
        scores = draw.scores(**options)
        if not self.single:
            return scores
        own = self.single[draw.seed]
        return {task: 100 * (value - own[task]) / abs(own[task]) for task, value in scores.items()}

    def best(self, trials: list[dict[str, Any]]) -> dict[str, Any]:
        """The trial with the highest criterion on the tuning draws."""

        def criterion(trial: dict[str, Any]) -> float:
            found = [self.improvements(draw, **trial) for draw in self.tuning]
            return float(np.mean([min(each.values()) for each in found]))

        return max(trials, key=criterion)

    def row(self, trials: list[dict[str, Any]]) -> dict[str, Any]:
        """What a method reaches on all draws with what was chosen."""
        chosen = self.best(trials)
        found = [self.improvements(draw, **chosen) for draw in self.draws]
        return {
            "chosen": chosen,
            "least": [min(each.values()) for each in found],
            "mean": [float(np.mean(list(each.values()))) for each in found],
            "tasks": {k: float(np.mean([each[k] for each in found])) for k in found[0]},
        }

    def study(self) -> dict[str, Any]:
        """Runs all methods."""
        began = time.process_time()
        content: dict[str, Any] = {"seeds": len(self.draws)}
        if "labels" in self.draws[0].targets:
            content["rates of single tasks"] = self.alone()
            content["single"] = self.single
        trials = {"sum": sums(self.tuning[0])}
        if self.name == "orthogonal":
            trials["sum, 18 trials"] = sums(self.tuning[0], 2)
        for name in METHODS:
            trials[name] = [{"balancing": name, "rate": rate} for rate in MANY_RATES]
        rows: dict[str, dict[str, Any]] = {}
        for name, own in trials.items():
            row = rows[name] = self.row(own)
            for kind in ("least", "mean"):
                base = np.array(rows["sum"][kind])
                digits = 2 if self.single else 3
                row[f"{kind} over sum"] = paired(np.array(row[kind]), base, digits)
            line = f"{np.mean(row['least']):7.3f} {np.mean(row['mean']):7.3f}"
            print(f"{self.name:13s} {name:16s} {line} {row['least over sum']}", flush=True)
        tested = [row for name, row in rows.items() if name in METHODS]
        corrected = holm([row["least over sum"].get("p", 1.0) for row in tested])
        for row, p in zip(tested, corrected, strict=True):
            row["least over sum"]["holm"] = p
        seconds = round(time.process_time() - began)
        return {**content, "methods": rows, "processor_seconds": seconds}


def main() -> None:
    parser = arguments(__doc__, seeds=10, shared=True)
    parser.add_argument("--cache", type=Path, default=Path("runs") / "cache")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=WORLDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "conflict.json"
    found = read_json(path, "study")["worlds"] if path.is_file() else {}
    for name in given.worlds:
        seeds = 5 if name == "photographs" else given.seeds
        if name == "photographs":
            data = photographs("voc2007-part", given.shared / "data", given.cache)
            world = World(name, partial(images, data), seeds)
        else:
            world = World(name, partial(numbers, name == "orthogonal"), seeds)
        found[name] = world.study()
        write_result("conflict", {"worlds": found})


if __name__ == "__main__":
    main()
