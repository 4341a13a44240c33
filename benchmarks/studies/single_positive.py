"""One known label per image: how far losses and completion go from assumed absences to full labels.

    python benchmarks/studies/single_positive.py --shared ../shared    # five minutes on two cores

A linear head on frozen EfficientNet-Lite0 features (160 pixels) of coco-part and of the built-in
scenes. Of every training image one present label is known, drawn once per seed and fixed;
everything else is unknown. ``assumed`` reads unknown as absent and minimises cross-entropy,
``full`` has all labels. A loss of the field takes the place of cross-entropy on the assumed
absences. ``complete`` fills in unknown labels, with and without similarity of label names, and
with the names permuted; it starts at ridge regression, so there are ``full``, ``assumed`` and some
losses with that start too.

60 % of the images train, 40 % test, five random divisions. The optimiser is the same for all. What
depends on the length of training (``TRIED``), and the strength of similarity, are those of the
highest mAP on two other divisions (seeds 100 and 101) with *fully labelled* test images, as the
papers on single positives do it. Writes benchmarks/results/single-positive.json: mAP of every seed
in per cent, and differences to ``assumed`` of the same start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.stats import t
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

Run = Callable[["Draw"], float]

#: Passes over the training images: 120 steps of coco-part, 220 of the scenes.
EPOCHS = {"coco-part": 30, "scenes": 10}
BATCH, RATE = 32, 1e-2
TUNING = (100, 101)
STRENGTHS = (0.0, 0.25, 0.5)
#: Losses that are also tried from the start of the completions.
FROM_RIDGE = ("asl", "hill", "splc", "two_way")


class Draw:
    """One draw: which images train and test, and which label of each is known."""

    def __init__(self, data: Data, seed: int) -> None:
        self.data, self.seed = data, seed
        order = np.random.default_rng(seed).permutation(len(data.features))
        cut = round(0.6 * len(order))
        array = data.features.numpy()
        self.train = Features(array, order[:cut])
        self.test = Features(array, order[cut:], self.train.scale)
        self.full, self.truth = data.targets[order[:cut]].float(), data.targets[order[cut:]]
        self.single = Targets(self.full).mask("single", seed).to_dense()
        self.assumed = torch.where(self.single == -1, 0.0, self.single)

    def score(
        self, targets: Tensor, loss: nn.Module, completion: Complete | None = None, *, ridge: bool
    ) -> float:
        """Trains a linear head and returns its test mAP in per cent."""
        torch.manual_seed(self.seed)
        head = LinearHead(self.train.width, labels=len(self.data.labels))
        epochs = EPOCHS[self.data.name]
        options = FitOptions(lr=RATE, epochs=epochs, least_steps=0, batch_size=BATCH)
        start = partial(ridge_start, self.train[np.arange(len(self.train))]) if ridge else None
        fit_head(head, self.train, targets, options, self.seed, completion, start, loss)
        return 100 * mean_average_precision(predict(head, self.test), self.truth).value

    def similar(self, permuted: bool) -> LabelGraph:
        """The graph of similar names, or of permuted ones."""
        matrix = source_from_vectors("names", self.data.vectors).matrix
        assert matrix is not None
        if permuted:
            order = np.random.default_rng(self.seed).permutation(len(matrix))
            matrix = matrix[order][:, order]
        return LabelGraph.from_dense(matrix, self.data.labels, relation="similarity")


def with_loss(draw: Draw, name: str, kind: str, ridge: bool, **options: Any) -> float:
    """Trains on full labels or assumed absences; ``db`` takes the rates of the known labels."""
    if name == "db":
        options["rates"] = draw.assumed.mean(0)
    if name == "ce":
        options["form"] = "well_posed"
    return draw.score(getattr(draw, kind), LOSSES[name](**options), ridge=ridge)


def completing(draw: Draw, strength: float, permuted: bool) -> float:
    """Trains with completion, by similarity of names where it has a strength."""
    graph = draw.similar(permuted) if strength else None
    completion = Complete(draw.single, graph, similarity_weight=strength)
    return draw.score(draw.single, BCELoss(), completion, ridge=True)


def tried(name: str, epochs: int) -> list[dict[str, Any]]:
    """What of a loss depends on the length of training."""
    if name == "splc":
        return [{"warmup": epochs // part} for part in (10, 2)]
    if name in ("ll_r", "ll_ct"):
        return [{"rate": end / epochs} for end in (0.01, 0.04)]
    return [{}]


def methods(draws: list[Draw]) -> dict[str, tuple[Run, str]]:
    """Every method, and what was chosen on the tuning draws."""

    def best(runs: dict[str, Run]) -> tuple[Run, str]:
        if len(runs) == 1:
            return next(iter(runs.values())), ""
        scores = {text: np.mean([run(draw) for draw in draws]) for text, run in runs.items()}
        chosen = max(scores, key=lambda text: scores[text])
        return runs[chosen], chosen

    found: dict[str, tuple[Run, str]] = {}
    epochs = EPOCHS[draws[0].data.name]
    for ridge in (False, True):
        after = ", ridge" if ridge else ""
        for kind in ("full", "assumed"):
            found[kind + after] = partial(with_loss, name="bce", kind=kind, ridge=ridge), ""
        for name in FROM_RIDGE if ridge else [n for n in LOSSES if n not in ("bce", "snll")]:
            runs: dict[str, Run] = {
                " ".join(f"{k}={v:.3g}" for k, v in options.items()): partial(
                    with_loss, name=name, kind="assumed", ridge=ridge, **options
                )
                for options in tried(name, epochs)
            }
            found[name + after] = best(runs)
    found["complete, ridge"] = partial(completing, strength=0.0, permuted=False), ""
    strengths: dict[str, Run] = {
        f"{s:g}": partial(completing, strength=s, permuted=False) for s in STRENGTHS
    }
    similar = best(strengths)
    found["complete, similar names, ridge"] = similar
    permuted: Run = partial(completing, strength=float(similar[1]), permuted=True)
    found["complete, permuted names, ridge"] = permuted, similar[1]
    return found


def row_of(values: np.ndarray, base: np.ndarray, gap: float, chosen: str) -> dict[str, Any]:
    """Figures of one method beside assumed absences of the same start."""
    gained = values - base
    wide = t.ppf(0.975, len(gained) - 1) * gained.std(ddof=1) / len(gained) ** 0.5
    return {
        "mAP": np.round(values, 2).tolist(),
        "chosen": chosen,
        "over assumed": round(float(gained.mean()), 2),
        "interval": [round(float(gained.mean() + side * wide), 2) for side in (-1, 1)],
        "share of the gap": round(float(gained.mean() / gap), 3),
    }


def study(name: str, root: Path, seeds: int) -> dict[str, Any]:
    """Runs one set."""
    torch.set_num_threads(1)
    began = time.process_time()
    data = photographs(name, root, Path("runs") / "cache")
    runs = methods([Draw(data, seed) for seed in TUNING])
    draws = [Draw(data, seed) for seed in range(seeds)]
    rows: dict[str, Any] = {}
    scores: dict[str, np.ndarray] = {}
    for method, (run, chosen) in runs.items():
        scores[method] = np.array([run(draw) for draw in draws])
        after = ", ridge" if method.endswith("ridge") else ""
        if {f"full{after}", f"assumed{after}"} <= scores.keys():
            base, full = scores[f"assumed{after}"], scores[f"full{after}"]
            rows[method] = row_of(scores[method], base, float((full - base).mean()), chosen)
            print(f"{name}, {method}: {scores[method].mean():.1f}, {rows[method]}", flush=True)
    return {
        "images": len(data.features),
        "labels": len(data.labels),
        "full": {k: np.round(v, 2).tolist() for k, v in scores.items() if k.startswith("full")},
        "methods": rows,
        "seconds": round(time.process_time() - began),
    }


def main() -> None:
    """Runs both sets, prints and writes."""
    parser = arguments(__doc__, seeds=5, shared=True)
    given = parser.parse_args()
    each = Parallel(n_jobs=2)(
        delayed(study)(name, given.shared / "data", given.seeds) for name in EPOCHS
    )
    content = {"seeds": given.seeds, "data": dict(zip(EPOCHS, each, strict=True))}
    write_result("single-positive", content, 2)


if __name__ == "__main__":
    main()
