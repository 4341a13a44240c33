"""One known label per image: how far losses and completion go from assumed absences to full labels.

    python benchmarks/studies/single_positive.py --shared ../shared    # five minutes on one core

A linear head on frozen EfficientNet-Lite0 features (160 pixels) of coco-part and of the built-in
scenes. Of every training image one present label is known, drawn once per seed and fixed;
everything else is unknown. ``assumed`` reads unknown as absent and minimises cross-entropy,
``full`` has all labels. A loss of the field takes the place of cross-entropy on the assumed
absences. ``complete`` fills in unknown labels, with and without similarity of label names, and
with the names permuted; it starts at ridge regression, so there are ``full``, ``assumed`` and some
losses with that start too.

``oracle`` leaves out exactly the forgotten labels: no loss that only ignores or discounts unknown
entries knows as much. ``fewer`` has all labels of fewer images, with as many positives as single
labels: the same information without any wrong absence. ``em`` raises the entropy of unknown
entries, and ``em_epr`` also draws the mean number of labels per image to that of the data set,
which it is told (Zhou et al., ECCV 2022, arXiv:2203.16219, and Cole et al., CVPR 2021,
arXiv:2106.09708). Both are defined here.

60 % of the images train, 40 % test, five random divisions. The optimiser is the same for all. What
depends on the length of training (``tried``), and the strength of similarity, are those of the
highest mAP on four other divisions (seeds 100 to 103) whose test images have *one known label each*
too, the rest taken as absent. Gains are also given for labels with a known positive alone, the
share of the gap that a loss can reach. Writes benchmarks/results/single-positive.json: mAP of every
seed in per cent, and differences to ``assumed`` of the same start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from similarity import Data, photographs
from study import RESULTS, arguments, write_result
from task_models import paired
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity import source_from_vectors
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.files import read_json
from gatlabel.graph import LabelGraph
from gatlabel.losses import LOSSES, BCELoss
from gatlabel.metrics import average_precision
from gatlabel.missing import Complete
from gatlabel.nn import LinearHead
from gatlabel.targets import Targets


class Scores(NamedTuple):
    """The AP of each label in per cent, NaN without a positive, by full and by single labels."""

    full: np.ndarray
    one: np.ndarray


Run = Callable[["Draw"], Scores]

#: Passes over the training images: 120 steps of coco-part, 220 of the scenes.
EPOCHS = {"coco-part": 30, "scenes": 10}
BATCH, RATE = 32, 1e-2
TUNING = (100, 101, 102, 103)
STRENGTHS = (0.0, 0.25, 0.5)
#: Losses that are also tried from the start of the completions.
FROM_RIDGE = ("asl", "hill", "splc", "two_way", "em_epr")
#: Losses that are defined here.
OWN = ("em", "em_epr")


class EntropyMaximisation(nn.Module):
    """Cross-entropy of known positives, less the entropy of all other entries.

    Args:
        alpha: Weight of the entropy.
        expected: Mean number of labels of an image.
        strength: Weight of the squared distance from it, of the mean over the batch, per label.
    """

    def __init__(self, alpha: float, expected: float = 0.0, strength: float = 0.0) -> None:
        super().__init__()
        self.alpha, self.expected, self.strength = alpha, expected, strength

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(B, L)`` for targets 1 (known) and 0 (unknown)."""
        p, on, off = logits.sigmoid(), F.logsigmoid(logits), F.logsigmoid(-logits)
        entropy = -p * on - (1 - p) * off
        loss = (-targets * on - (1 - targets) * self.alpha * entropy).mean()
        distance = (p.sum(1).mean() - self.expected) / p.shape[1]
        return loss + self.strength * distance**2


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
        forgotten = (self.full == 1) & (self.single != 1)
        self.oracle = torch.where(forgotten, -1.0, self.assumed)
        # as many known positives as single labels, but on fewer images, with all their labels
        beyond = (self.full == 1).sum(1).cumsum(0) > (self.single == 1).sum()
        self.fewer = torch.where(beyond[:, None], -1.0, self.full)
        one = Targets(self.truth.float()).mask("single", seed).to_dense()
        self.truth_of_one = torch.where(one == -1, 0.0, one)
        self.reachable = (self.assumed == 1).any(0).numpy()  # labels with a known positive

    def average_precision(
        self, targets: Tensor, loss: nn.Module, completion: Complete | None = None, *, ridge: bool
    ) -> Scores:
        """Trains a linear head, and returns the AP of each label in per cent."""
        torch.manual_seed(self.seed)
        head = LinearHead(self.train.width, labels=len(self.data.labels))
        epochs = EPOCHS[self.data.name]
        options = FitOptions(lr=RATE, epochs=epochs, least_steps=0, batch_size=BATCH)
        start = partial(ridge_start, self.train[np.arange(len(self.train))]) if ridge else None
        fit_head(head, self.train, targets, options, self.seed, completion, start, loss)
        logits = predict(head, self.test)
        full, one = (
            100 * np.asarray(average_precision(logits, truth))
            for truth in (self.truth, self.truth_of_one)
        )
        return Scores(full, one)

    def similar(self, permuted: bool) -> LabelGraph:
        """The graph of similar names, or of permuted ones."""
        matrix = source_from_vectors("names", self.data.vectors).matrix
        assert matrix is not None
        if permuted:
            order = np.random.default_rng(self.seed).permutation(len(matrix))
            matrix = matrix[order][:, order]
        return LabelGraph.from_dense(matrix, self.data.labels, relation="similarity")


def with_loss(draw: Draw, name: str, kind: str, ridge: bool, **options: Any) -> Scores:
    """Trains on full labels or assumed absences; ``db`` takes the rates of the known labels."""
    if name == "db":
        options["rates"] = draw.assumed.mean(0)
    if name == "ce":
        options["form"] = "well_posed"
    if name == "em_epr":
        options["expected"] = float((draw.data.targets == 1).sum(1).float().mean())
    make = EntropyMaximisation if name in OWN else LOSSES[name]
    return draw.average_precision(getattr(draw, kind), make(**options), ridge=ridge)


def completing(draw: Draw, strength: float, permuted: bool) -> Scores:
    """Trains with completion, by similarity of names where it has a strength."""
    graph = draw.similar(permuted) if strength else None
    completion = Complete(draw.single, graph, similarity_weight=strength)
    return draw.average_precision(draw.single, BCELoss(), completion, ridge=True)


def tried(name: str, epochs: int) -> list[dict[str, Any]]:
    """What of a loss depends on the length of training."""
    if name == "splc":
        return [{"warmup": epochs // part} for part in (10, 2)]
    if name in ("ll_r", "ll_ct"):
        return [{"rate": end / epochs} for end in (0.01, 0.04)]
    if name == "em":
        return [{"alpha": alpha} for alpha in (0.03, 0.1, 0.3)]
    if name == "em_epr":
        return [{"alpha": a, "strength": s} for a in (0.03, 0.1) for s in (0.3, 1.0, 3.0)]
    return [{}]


def methods(draws: list[Draw]) -> dict[str, tuple[Run, str]]:
    """Every method, and what was chosen on the tuning draws."""

    def best(runs: dict[str, Run]) -> tuple[Run, str]:
        if len(runs) == 1:
            return next(iter(runs.values())), ""
        scores = {
            text: np.mean([np.nanmean(run(draw).one) for draw in draws])
            for text, run in runs.items()
        }
        chosen = max(scores, key=lambda text: scores[text])
        return runs[chosen], chosen

    found: dict[str, tuple[Run, str]] = {}
    epochs = EPOCHS[draws[0].data.name]
    for ridge in (False, True):
        after = ", ridge" if ridge else ""
        for kind in ("full", "assumed", "oracle", "fewer"):
            found[kind + after] = partial(with_loss, name="bce", kind=kind, ridge=ridge), ""
        losses = [*(n for n in LOSSES if n not in ("bce", "snll")), *OWN]
        for name in FROM_RIDGE if ridge else losses:
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


class Scored:
    """The mAP of a method on every draw.

    ``reachable`` sums over the labels with a known positive and divides by the number of all, so
    that it and the rest add up to ``all``.
    """

    def __init__(self, run: Run, draws: list[Draw]) -> None:
        each = [run(draw).full for draw in draws]
        self.all = np.array([np.nanmean(ap) for ap in each])
        sums = [np.nansum(ap[d.reachable]) for ap, d in zip(each, draws, strict=True)]
        counts = [np.isfinite(ap).sum() for ap in each]
        self.reachable = np.array(sums) / np.array(counts)


def row_of(scores: Scored, base: Scored, full: Scored, chosen: str) -> dict[str, Any]:
    """Figures of one method beside assumed absences of the same start."""
    row = {"mAP": np.round(scores.all, 2).tolist(), "chosen": chosen}
    for name, kind in (("over assumed", "all"), ("with a known positive", "reachable")):
        own, least, most = (getattr(each, kind) for each in (scores, base, full))
        gap = float((most - least).mean())
        share = round(float((own - least).mean() / gap), 3)
        row[name] = {**paired(own, least), "gap": round(gap, 2), "share of the gap": share}
    return row


def study(name: str, root: Path, cache: Path, seeds: int) -> dict[str, Any]:
    """Runs one set."""
    torch.set_num_threads(1)
    began = time.process_time()
    data = photographs(name, root, cache)
    runs = methods([Draw(data, seed) for seed in TUNING])
    draws = [Draw(data, seed) for seed in range(seeds)]
    rows: dict[str, Any] = {}
    scores: dict[str, Scored] = {}
    for method, (run, chosen) in runs.items():
        own = scores[method] = Scored(run, draws)
        after = ", ridge" if method.endswith("ridge") else ""
        if {f"full{after}", f"assumed{after}"} <= scores.keys():
            base, full = scores[f"assumed{after}"], scores[f"full{after}"]
            rows[method] = row_of(own, base, full, chosen)
            print(f"{name}, {method}: {own.all.mean():.1f}, {rows[method]}", flush=True)
    return {
        "images": len(data.features),
        "labels": len(data.labels),
        "full": {k: np.round(v.all, 2).tolist() for k, v in scores.items() if k.startswith("full")},
        "methods": rows,
        "seconds": round(time.process_time() - began),
    }


def main() -> None:
    """Runs the sets, prints and writes."""
    parser = arguments(__doc__, seeds=5, shared=True)
    parser.add_argument("--sets", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--cache", type=Path, default=Path("runs") / "cache")
    given = parser.parse_args()
    path = RESULTS / "single-positive.json"
    found = read_json(path, "study")["data"] if path.is_file() else {}
    for name in given.sets:
        found[name] = study(name, given.shared / "data", given.cache, given.seeds)
        write_result("single-positive", {"seeds": given.seeds, "data": found})


if __name__ == "__main__":
    main()
