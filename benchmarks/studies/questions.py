"""How many answers does a model need, when it chooses the questions?

    python benchmarks/studies/questions.py --root ../shared/data    # ten minutes on one core

Frozen EfficientNet-Lite0 features (as in few_shot.py). Of each set, half of the images are the test
set, 40 images are annotated in full, the others are the pool. In rounds of growing size, questions
about single labels of pool images are asked; after each round classifiers are updated from those of
the first 40 images (gatlabel.active.updated_classifiers). The methods:

- ``images``: random images, annotated in full; every label costs an answer;
- ``random``: random questions;
- ``entropy``: the questions of largest entropy;
- ``no graph``: largest entropy times the variance of the logit, which answers to come lower;
- ``graph``: the same by expected information about all labels of the image, each times the
  variance of its logit;
- ``random graph``: with the same dependence between other labels;
- ``plain graph``: as ``graph``, without the variance.

The dependence of labels is taken from the counts of what is annotated so far. Writes
benchmarks/results/questions.json: mAP by answers for every seed, the area under mAP over the
logarithm of the number of answers, and by the number of answers of ``images`` the share that
reaches the same mAP, both in the mean over seeds.
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

from gatlabel.active import LogitVariance, PairwiseModel, choose_questions, updated_classifiers
from gatlabel.active.information import entropy
from gatlabel.baselines.moments import Moments
from gatlabel.baselines.ridge import ridge_start
from gatlabel.fewshot.results import Interval
from gatlabel.graph import Cooccurrence
from gatlabel.metrics import average_precision

METHODS = ("images", "random", "entropy", "no graph", "graph", "random graph", "plain graph")
FIRST = 40
#: From so many answers on it is asked how many others need for the mAP of ``images``.
FAIR = 800
POOL = 300
BUDGETS = (100, 200, 400, 800, 1200, 1600, 2400, 3000, 6000, 12000, 24000)


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
        self.skipped = torch.zeros_like(answers, dtype=torch.bool)
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
            self.skipped.view(-1)[places] = True  # also where the answer is unknown
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
            worth = entropy(logits).masked_fill(self.skipped, -1.0)
            return worth.view(-1).topk(batch).indices
        pairs = PairwiseModel.none()
        if method != "no graph":
            targets = torch.cat([self.first_targets, answers])
            pairs = PairwiseModel.of_counts(Cooccurrence.from_targets(targets, self.names))
        if method == "random graph":
            pairs = pairs.permuted(permutation)
        variance = None
        if method != "plain graph":
            so_far = Cooccurrence.from_targets(torch.cat([self.first_targets, answers]), self.names)
            known, rates = torch.from_numpy(so_far.known), torch.from_numpy(so_far.base_rates)
            variance = LogitVariance.of(self.x, self.moments, known, rates)
        found = choose_questions(
            logits, answers, pairs, batch, skipped=self.skipped, variance=variance
        )
        return torch.tensor([q.row * answers.shape[1] + q.label for q in found])

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


def case(data: Data, seeds: range) -> dict[str, Any]:
    """All methods on one set."""
    began = time.process_time()
    curves: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    for seed in seeds:
        learner = Learner(data, seed)
        for method in METHODS:
            curves[method].append(learner.curve(method, seed))
    areas = {m: [area(curve) for curve in found] for m, found in curves.items()}
    differences = {
        other: vars(Interval.of([a - b for a, b in zip(areas["graph"], areas[other], strict=True)]))
        for other in METHODS
        if other != "graph"
    }
    means = {m: np.mean(found, 0).tolist() for m, found in curves.items()}
    images = list(zip(BUDGETS, means["images"][1:], strict=False))
    ratios = {
        method: {
            str(budget): round(needed(means[method], height) / budget, 3)
            for budget, height in images
            if budget >= FAIR
        }
        for method in METHODS[1:]
    }
    return {
        "data": data.name,
        "seeds": list(seeds),
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
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sets", nargs="+", default=["voc2007-part", "coco-part", "scenes"])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "features")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for name in given.sets:
        if name != "scenes" and not (given.root / name).is_dir():
            print(f"{name}: not there, left out")
            continue
        data = (
            large_scenes(given.cache)
            if name == "scenes"
            else photographs(name, given.root, given.cache)
        )
        results.append(case(data, range(given.first_seed, given.first_seed + given.seeds)))
        found = results[-1]
        print(name, f"{found['seconds']} s of CPU time", flush=True)
        for method in METHODS:
            mean = np.mean(found["curves"][method], 0).round(1).tolist()
            print(" ", method, mean, found["share of answers that reach images"].get(method))
        for other, interval in found["area of graph minus"].items():
            print("  graph minus", other, {k: round(v, 2) for k, v in interval.items()}, flush=True)
        # after every set, so that what is measured is kept
        write_result("questions", {"first": FIRST, "sets": results})


if __name__ == "__main__":
    main()
