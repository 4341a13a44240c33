"""How many answers does a model need, when it chooses the questions?

    python benchmarks/studies/questions.py --root ../shared/data    # ten minutes on one core

Frozen EfficientNet-Lite0 features (as in few_shot.py). Of each set, half of the images are the test
set, 40 images are annotated in full, the others are the pool. In rounds of growing size, questions
about single labels of pool images are asked; after each round classifiers are updated from those of
the first 40 images (gatlabel.active.updated_classifiers). The methods:

- ``images``: random images, annotated in full; every label costs an answer;
- ``random``: random questions;
- ``entropy``: the questions of largest entropy;
- ``no graph``: largest entropy, at most so many per image, spread over unlike images;
- ``graph``: the same by expected information about all labels of the image;
- ``random graph``: with the same dependence between other labels;
- ``graph, plain``: as ``graph``, without the balance between rare and frequent labels.

The dependence of labels is taken from the counts of what is annotated so far. Writes
benchmarks/results/questions.json: mAP by answers for every seed, the area under mAP over the
logarithm of the number of answers, and how many answers reach the mAP of ``images``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from few_shot import large_scenes
from similarity import Data, photographs
from study import arguments, write_result
from torch import Tensor

from gatlabel.active import PairwiseModel, choose_questions, updated_classifiers
from gatlabel.active.information import entropy
from gatlabel.baselines.moments import Moments
from gatlabel.baselines.ridge import ridge_start
from gatlabel.fewshot.evaluation import Interval
from gatlabel.graph import Cooccurrence
from gatlabel.metrics import average_precision

METHODS = ("images", "random", "entropy", "no graph", "graph", "random graph", "graph, plain")
FIRST = 40
POOL = 300
BUDGETS = (100, 200, 400, 800, 1600, 3200, 6400)


class Learner:
    """One method on one split of one set."""

    def __init__(self, data: Data, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(data.features), generator=self.generator)
        half = len(order) // 2
        first, pool, test = order[:FIRST], order[FIRST : min(half, FIRST + POOL)], order[half:]
        self.names = list(data.labels)
        self.first_targets = data.targets[first]
        self.x, self.truth = data.features[pool], data.targets[pool]
        self.test, self.test_targets = data.features[test], data.targets[test]
        self.start = ridge_start(data.features[first], self.first_targets)
        self.moments = Moments.of(torch.cat([data.features[first], self.x]))
        counts = Cooccurrence.from_targets(self.first_targets, self.names)
        self.known = torch.from_numpy(counts.known)
        self.rates = torch.from_numpy(counts.base_rates)

    def curve(self, method: str, seed: int) -> list[float]:
        """Points of mAP at every budget; the first is that of no answer."""
        generator = torch.Generator().manual_seed(1000 + seed)
        answers = torch.full_like(self.truth, -1.0)
        weight, bias = self.start.weight, self.start.bias
        found, spent = [self.judge(weight, bias)], 0
        shuffled = torch.randperm(self.truth.numel(), generator=generator)
        images = torch.randperm(len(self.truth), generator=generator)
        permutation = torch.randperm(self.truth.shape[1], generator=generator)
        for budget in BUDGETS:
            batch = min(budget, self.truth.numel()) - spent
            if batch <= 0:
                break
            flat = answers.view(-1)
            if method == "images":
                L = answers.shape[1]
                places = (images[:, None] * L + torch.arange(L)).reshape(-1)[spent : spent + batch]
            elif method == "random":
                places = shuffled[spent : spent + batch]
            else:
                logits = self.x @ weight.T + bias
                places = self.chosen(method, logits, answers, batch, permutation)
            flat[places] = self.truth.reshape(-1)[places]
            spent += batch
            rows = (answers >= 0).any(1)
            weight, bias = updated_classifiers(
                self.start.weight, self.start.bias, self.moments, self.known, self.rates,
                self.x[rows], answers[rows],
            )  # fmt: skip
            found.append(self.judge(weight, bias))
        return found

    def chosen(
        self, method: str, logits: Tensor, answers: Tensor, batch: int, permutation: Tensor
    ) -> Tensor:
        """Positions of the next questions in the pool, row by row."""
        if method == "entropy":
            worth = entropy(logits).masked_fill(answers >= 0, -1.0)
            return worth.view(-1).topk(batch).indices
        pairs = PairwiseModel.none()
        if method != "no graph":
            targets = torch.cat([self.first_targets, answers])
            pairs = PairwiseModel.of_counts(Cooccurrence.from_targets(targets, self.names))
        if method == "random graph":
            pairs = pairs.permuted(permutation)
        rates = None
        if method != "graph, plain":
            so_far = torch.cat([self.first_targets, answers])
            rates = torch.from_numpy(Cooccurrence.from_targets(so_far, self.names).base_rates)
        most = max(1, -(-2 * batch // len(answers)))
        while True:
            found = choose_questions(
                logits, answers, pairs, batch, per_image=most, features=self.x, rates=rates
            )
            if len(found) == batch or most >= answers.shape[1]:
                return torch.tensor([q.row * answers.shape[1] + q.label for q in found])
            most *= 2

    def judge(self, weight: Tensor, bias: Tensor) -> float:
        """MAP on the test images, in points."""
        scores = self.test @ weight.T + bias
        return 100 * float(average_precision(scores, self.test_targets).nanmean())


def area(curve: list[float]) -> float:
    """Mean height of a curve over the logarithm of its budgets, from the first answers on."""
    x = np.log(BUDGETS[: len(curve) - 1])
    return float(np.trapezoid(curve[1:], x) / (x[-1] - x[0]))


def needed(curve: list[float], wanted: float) -> float:
    """The number of answers at which a curve reaches a height, by interpolation; inf if never."""
    for k in range(1, len(curve)):
        if curve[k] >= wanted:
            before = BUDGETS[k - 2] if k > 1 else BUDGETS[0] / 2
            share = (wanted - curve[k - 1]) / max(curve[k] - curve[k - 1], 1e-9)
            return float(before + min(max(share, 0.0), 1.0) * (BUDGETS[k - 1] - before))
    return float("inf")


def case(data: Data, seeds: int) -> dict[str, Any]:
    """All methods on one set."""
    began = time.process_time()
    curves: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        learner = Learner(data, seed)
        for method in METHODS:
            curves[method].append(learner.curve(method, seed))
    areas = {m: [area(curve) for curve in found] for m, found in curves.items()}
    differences = {
        other: vars(Interval.of([a - b for a, b in zip(areas["graph"], areas[other], strict=True)]))
        for other in METHODS
        if other != "graph"
    }
    ratios: dict[str, list[float | None]] = {}
    for method in METHODS[1:]:
        wanted = [found[-1] for found in curves["images"]]
        counts = [needed(c, w) for c, w in zip(curves[method], wanted, strict=True)]
        full = [BUDGETS[len(found) - 2] for found in curves["images"]]
        shares = [c / f for c, f in zip(counts, full, strict=True)]
        ratios[method] = [None if s == float("inf") else round(s, 3) for s in shares]
    return {
        "data": data.name,
        "budgets": list(BUDGETS),
        "curves": {m: [[round(v, 2) for v in c] for c in found] for m, found in curves.items()},
        "area": {m: vars(Interval.of(found)) for m, found in areas.items()},
        "area of graph minus": differences,
        "share of answers that reach images": ratios,
        "seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "features")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for name in ("voc2007-part", "coco-part", "scenes"):
        if name != "scenes" and not (given.root / name).is_dir():
            print(f"{name}: not there, left out")
            continue
        data = (
            large_scenes(given.cache)
            if name == "scenes"
            else photographs(name, given.root, given.cache)
        )
        results.append(case(data, given.seeds))
        found = results[-1]
        print(name, f"{found['seconds']} s of CPU time", flush=True)
        for method in METHODS:
            mean = np.mean(found["curves"][method], 0).round(1).tolist()
            print(" ", method, mean, found["share of answers that reach images"].get(method))
        for other, interval in found["area of graph minus"].items():
            print("  graph minus", other, {k: round(v, 2) for k, v in interval.items()}, flush=True)
        # after every set, so that what is measured is kept
        write_result("questions", {"seeds": given.seeds, "first": FIRST, "sets": results})


if __name__ == "__main__":
    main()
