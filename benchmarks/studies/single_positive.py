"""One known label per image: how far losses and completion go from assumed absences to full labels.

    python benchmarks/studies/single_positive.py --shared ../shared    # twenty minutes on one core

A linear head on frozen EfficientNet-Lite0 features (160 pixels) of coco-part and of the built-in
scenes. Of every training image one present label is known, drawn once per seed and fixed;
everything else is unknown. ``assumed`` reads unknown as absent and minimises cross-entropy,
``full`` has all labels. A loss of the field takes the place of cross-entropy on the assumed
absences; ``complete`` fills in unknown labels, with and without similarity of label names, and
with the names permuted.

Random halves: 60 % of the images train, 40 % test. The learning rate, and one option of a loss
that depends on the length of training, are those of the highest mAP on two other halves (seeds 100
and 101) with *fully labelled* test images, as the papers on single positives do it. Writes
benchmarks/results/single-positive.json: mAP of every seed in per cent, and differences.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from similarity import Data, photographs
from study import arguments, write_result
from torch import Tensor, nn

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity import source_from_vectors
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.graph import LabelGraph
from gatlabel.losses import LOSSES, BCELoss
from gatlabel.metrics import mean_average_precision
from gatlabel.missing import Complete
from gatlabel.nn import LinearHead
from gatlabel.targets import Targets

BATCH = 32
#: Passes over the training images: 120 steps of coco-part, 230 of the scenes.
EPOCHS = {"coco-part": 30, "scenes": 10}
RATES = (1e-3, 3e-3, 1e-2)
TUNING = (100, 101)
STRENGTHS = (0.0, 0.25, 0.5, 0.75)


#: Options that are tried with each learning rate: those that depend on the length of training.
def tried_options(name: str, epochs: int) -> tuple[dict[str, Any], ...]:
    """Of the loss of a name."""
    if name == "splc":
        return tuple({"warmup": epochs // part} for part in (10, 2))
    if name in ("ll_r", "ll_ct"):
        return tuple({"rate": end / epochs} for end in (0.01, 0.04))
    return ({},)


COMPLETIONS = ("complete", "complete, similar names", "complete, permuted names")


def halves(data: Data, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images that train and of those that test."""
    order = np.random.default_rng(seed).permutation(len(data.features))
    cut = round(0.6 * len(order))
    return order[:cut], order[cut:]


def similar(data: Data, seed: int | None) -> LabelGraph:
    """The graph of similar names; with a seed the names are permuted."""
    matrix = source_from_vectors("names", data.vectors).matrix
    assert matrix is not None
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(data.labels))
        matrix = matrix[order][:, order]
    return LabelGraph.from_dense(matrix, data.labels, relation="similarity")


class Draw:
    """One draw: which images train and test, and which label of each is known."""

    def __init__(self, data: Data, seed: int) -> None:
        self.data, self.seed = data, seed
        rows, test = halves(data, seed)
        array = data.features.numpy()
        self.train = Features(array, rows)
        self.test = Features(array, test, self.train.scale)
        self.full, self.truth = data.targets[rows].float(), data.targets[test]
        self.single = Targets(self.full).mask("single", seed).to_dense()
        self.assumed = torch.where(self.single == -1, 0.0, self.single)

    def score(
        self,
        targets: Tensor,
        loss: nn.Module,
        lr: float,
        completion: Complete | None = None,
    ) -> float:
        """Trains a linear head and returns its test mAP in per cent."""
        torch.manual_seed(self.seed)
        head = LinearHead(self.train.width, labels=len(self.data.labels))
        options = FitOptions(lr=lr, epochs=EPOCHS[self.data.name], least_steps=0, batch_size=BATCH)
        every = self.train[np.arange(len(self.train))]
        start = partial(ridge_start, every) if completion is not None else None
        fit_head(head, self.train, targets, options, self.seed, completion, start, loss)
        return 100 * mean_average_precision(predict(head, self.test), self.truth).value


def make(name: str, options: dict[str, Any], draw: Draw) -> nn.Module:
    """Builds a loss; the distribution-balanced one takes the rates of the known labels."""
    if name == "db":
        options = {"rates": draw.assumed.mean(0)}
    return LOSSES[name](**({"form": "well_posed"} if name in ("ce", "snll") else {}), **options)


def methods(draws: list[Draw]) -> dict[str, Callable[[Draw], float]]:
    """Every method with the options that were the best on the tuning draws, printed."""

    def best(name: str, runs: dict[str, Callable[[Draw], float]]) -> Callable[[Draw], float]:
        scores = {tried: np.mean([run(draw) for draw in draws]) for tried, run in runs.items()}
        chosen = max(scores, key=lambda tried: scores[tried])
        CHOSEN[name] = chosen
        print(f"  {name}: {chosen} ({scores[chosen]:.1f})", flush=True)
        return runs[chosen]

    def of_loss(name: str, kind: str, options: dict[str, Any], lr: float) -> Any:
        return lambda draw: draw.score(getattr(draw, kind), make(name, options, draw), lr)

    found = {
        "full": best("full", {f"lr={lr:g}": of_loss("bce", "full", {}, lr) for lr in RATES}),
        "assumed": best("assumed", {f"lr={r:g}": of_loss("bce", "assumed", {}, r) for r in RATES}),
    }
    for name in [each for each in LOSSES if each not in ("bce", "snll")]:
        epochs = EPOCHS[draws[0].data.name]
        tried = itertools.product(tried_options(name, epochs), RATES)
        runs = {
            f"lr={lr:g} " + " ".join(f"{k}={v:.3g}" for k, v in options.items()): of_loss(
                name, "assumed", options, lr
            )
            for options, lr in tried
        }
        found[name] = best(name, runs)
    found["smoothed"] = best("smoothed", {f"lr={lr:g}": partial(smoothed, lr=lr) for lr in RATES})

    def completing(lr: float, strength: float, permuted: bool) -> Callable[[Draw], float]:
        def run(draw: Draw) -> float:
            graph = similar(draw.data, draw.seed if permuted else None) if strength else None
            completion = Complete(draw.single, graph, similarity_weight=strength)
            return draw.score(draw.single, BCELoss(), lr, completion)

        return run

    for name in COMPLETIONS[:2]:
        strengths = STRENGTHS if "names" in name else (0.0,)
        runs = {
            f"lr={lr:g} strength={s:g}": completing(lr, s, False)
            for lr, s in itertools.product(RATES, strengths)
        }
        found[name] = best(name, runs)
    lr, strength = (float(part.partition("=")[2]) for part in CHOSEN[COMPLETIONS[1]].split())
    found[COMPLETIONS[2]] = completing(lr, strength, True)
    CHOSEN[COMPLETIONS[2]] = CHOSEN[COMPLETIONS[1]]
    return found


CHOSEN: dict[str, str] = {}


def smoothed(draw: Draw, lr: float) -> float:
    """Cross-entropy whose assumed absences are 0.05 present."""
    targets = torch.where(draw.single == -1, 0.05, draw.single)
    return draw.score(targets, BCELoss(), lr)


def interval(values: np.ndarray) -> list[float]:
    """The 95 % interval of the mean over seeds, by Student's t."""
    from scipy.stats import t

    wide = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return [round(float(values.mean() + side * wide), 2) for side in (-1, 1)]


def main() -> None:
    """Runs both sets, prints and writes."""
    parser = arguments(__doc__, seeds=5, shared=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    content: dict[str, Any] = {"seeds": given.seeds, "epochs": EPOCHS, "data": {}}
    for name in ("coco-part", "scenes"):
        began = time.process_time()
        data = photographs(name, given.shared / "data", Path("runs") / "cache")
        print(f"{name}: {len(data.features)} images, {len(data.labels)} labels", flush=True)
        CHOSEN.clear()
        runs = methods([Draw(data, seed) for seed in TUNING])
        draws = [Draw(data, seed) for seed in range(given.seeds)]
        scores = {method: np.array([run(draw) for draw in draws]) for method, run in runs.items()}
        gap = scores["full"] - scores["assumed"]
        rows = {}
        for method, values in scores.items():
            gained = values - scores["assumed"]
            rows[method] = {
                "mAP": np.round(values, 2).tolist(),
                "chosen": CHOSEN[method],
                "over assumed": round(float(gained.mean()), 2),
                "interval": interval(gained),
                "share of the gap": round(float(gained.mean() / gap.mean()), 3),
            }
            print(f"  {method}: {values.mean():.1f}, {rows[method]}", flush=True)
        content["data"][name] = {
            "images": len(data.features),
            "gap": round(float(gap.mean()), 2),
            "methods": rows,
            "seconds": round(time.process_time() - began),
        }
    write_result("single-positive", content, 1)


if __name__ == "__main__":
    main()
