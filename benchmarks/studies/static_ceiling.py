"""How much could any linear classifier gain from the label graph, on frozen features of scenes?

    python benchmarks/studies/static_ceiling.py    # a quarter of an hour on one core

After training, a static graph head is a linear classifier of the features. What the graph can do
for it is to say how the classifiers of labels belong together. Where the true graph is known, that
knowledge can be given whole: ridge regression with the prior ``W = (I + β J) V`` over the
classifiers, V independent, J the true couplings of the scenes, which is what a label's classifier
ought to be if its neighbours speak for it where it is hidden. Compared with ``β = 0`` at 10, 30 and
100 % of 2,000 images, and with ever more images, up to 10,000:

- ``own``: J the correlations of the training labels; ``permuted``: the true J between other labels;
- ``classifiers``: J the correlations of the labels' classifiers, found without a prior: what labels
  could learn from one another without any graph (as in Zhang & Yeung, UAI 2010);
- β and the penalty are the best *on the reported images* for all, so the gains are upper bounds.

On both presets of scenes: 20 frequent labels, and 73 of which most are rare. Writes
benchmarks/results/static-ceiling.json: mAP and gains in points, a number a draw.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from study import arguments, write_result

from gatlabel.data.scenes import scene_config, true_graph
from gatlabel.experiments import make_config
from gatlabel.experiments.preparation import SplitFeatures, prepare, read_task
from gatlabel.metrics import mean_average_precision

IMAGES, FRACTIONS, MORE = 2000, (0.1, 0.3, 1.0), (2000, 4000, 10000)
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
PENALTIES = tuple(0.01 * 2.0**k for k in range(8))  # of the features' mean square
SEED = 4  # of the drawings, as in the claim on gat
Matrix = NDArray[np.float64]


def arrays(split: SplitFeatures) -> tuple[Matrix, Matrix]:
    """Features ``(N, D)`` and targets ``(N, L)``."""
    return split.files["pooled"].open().astype(np.float64), split.targets.astype(np.float64)


def with_prior(x: Matrix, y: Matrix, prior: Matrix, penalty: float) -> Matrix:
    """Ridge regression ``(L, D)`` of standardised labels; the rows of W have this covariance."""
    grams, across = np.linalg.eigh(x.T @ x / len(x))
    shares, among = np.linalg.eigh(prior)
    turned = among.T @ (y.T @ x / len(x)) @ across
    found: Matrix = turned / (grams + penalty / np.maximum(shares, 1e-6)[:, None])
    return among @ found @ across.T


def best(train: tuple[Matrix, Matrix], test: tuple[Matrix, Matrix], couplings: Matrix) -> float:
    """The best mAP in points over strengths, if there are couplings, and penalties."""
    x, y = train
    mean, rate = x.mean(0), y.mean(0)
    unit = float(np.sqrt(np.square(x - mean).mean()))
    spread = np.sqrt(np.maximum(rate * (1 - rate), 1e-3))
    own = np.eye(y.shape[1])
    found = []
    for strength in STRENGTHS if couplings.any() else (0.0,):
        mixed = own + strength * couplings
        for penalty in PENALTIES:
            w = with_prior((x - mean) / unit, (y - rate) / spread, mixed @ mixed.T, penalty)
            logits = torch.from_numpy((test[0] - mean) / unit @ w.T)
            found.append(mean_average_precision(logits, torch.from_numpy(test[1])).value)
    return 100 * max(found)


def correlations(columns: Matrix) -> Matrix:
    """Between the columns; zero on the diagonal and of columns that do not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Matrix = np.nan_to_num(np.corrcoef(columns.T))
    np.fill_diagonal(found, 0)
    return found


def alone(x: Matrix, y: Matrix) -> Matrix:
    """Classifiers of the labels without a prior: ``(L, D)``."""
    mean, rate = x.mean(0), y.mean(0)
    unit = np.sqrt(np.square(x - mean).mean())
    spread = np.sqrt(np.maximum(rate * (1 - rate), 1e-3))
    return with_prior((x - mean) / unit, (y - rate) / spread, np.eye(y.shape[1]), PENALTIES[5])


def gains_on(preset: Literal["voc", "coco"], draws: int) -> dict[str, Any]:
    """Fits and prints everything on one preset."""
    config = make_config(
        "heads",
        heads=("linear",),
        **{
            "data": "scenes",
            "data.preset": preset,
            "run.seed": SEED,
            "data.train_images": max(MORE),
        },
    )
    data = prepare(config, read_task(config.train), print)
    every, test = arrays(data.train), arrays(data.report)
    true = true_graph(scene_config(preset), signed=True).to_dense().double().numpy()
    rows: list[dict[str, Any]] = []
    for fraction in FRACTIONS:
        points: dict[str, list[float]] = {}
        count = round(fraction * IMAGES)
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            chosen = rng.permutation(max(MORE))[:count]
            train = every[0][chosen], every[1][chosen]
            moved = rng.permutation(len(true))
            ways = {
                "none": np.zeros_like(true),
                "own": correlations(train[1]) * count / (count + 50),
                "classifiers": correlations(alone(*train).T),
                "true": true,
                "permuted": true[moved][:, moved],
            }
            for name, couplings in ways.items():
                points.setdefault(name, []).append(round(best(train, test, couplings), 3))
        base = np.array(points["none"])
        gains = {k: np.round(np.array(v) - base, 3).tolist() for k, v in points.items()}
        rows.append({"images": count, "mAP": points, "gains": gains})
        means = ", ".join(f"{k} {np.mean(v):+.2f}" for k, v in gains.items() if k != "none")
        print(f"{preset}, {count} images: {base.mean():.2f}; {means}", flush=True)
    more = {
        n: round(best((every[0][:n], every[1][:n]), test, np.zeros_like(true)), 3) for n in MORE
    }
    print(f"{preset}, more images: {more}", flush=True)
    return {"rows": rows, "more images": more}


def main() -> None:
    """Fits, prints and writes."""
    parser = arguments(__doc__)
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    presets: tuple[Literal["voc", "coco"], ...] = ("voc", "coco")
    found = {preset: gains_on(preset, options.draws) for preset in presets}
    write_result("static-ceiling", {"seed": SEED, "presets": found})


if __name__ == "__main__":
    main()
