"""Which thresholds have the best F1 on new images, and do conformal sets miss what they promise?

    python benchmarks/studies/decisions.py --root ../shared/data    # a few minutes on one core

Frozen EfficientNet-Lite0 features (160 pixels) of voc2007-part, coco-part and the built-in scenes;
ridge regression on 100 or 500 drawn training images, five draws. The test images are split at
random, again and again: thresholds are chosen on one part and macro-F1 is that of the other,
over labels with a positive in both. A difference is the mean over re-splits of a draw; draws are
what its standard error counts, since re-splits share images.

Conformal thresholds: the mean share of missed labels on the other half over 1,000 re-splits, for
alpha 0.05, 0.1 and 0.2, beside alpha less 2 / (n + 1). That is as the images are, and with a fifth
of the images made empty, with a fifth of all targets made unknown, with probabilities rounded to
two decimals, and with all three. Processor seconds are those of MAPIE on the
same probabilities, whose grid of 100 thresholds is its default, without the images that it
refuses. Writes benchmarks/results/decisions.json.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from numpy.typing import NDArray
from peer_study.cells import SIZES
from peer_study.clock import limit_threads
from peer_study.passes import run_pass
from peer_study.sets import StudySet, read_set
from torch import Tensor

from gatlabel.baselines.ridge import ridge_start
from gatlabel.decisions import conformal_threshold, f1_thresholds
from gatlabel.files import read_json, write_json

RESULTS = Path(__file__).resolve().parents[1] / "results" / "decisions.json"
SEEDS, RESPLITS, CONFORMAL_RESPLITS = 5, 40, 1000
SIZE = 160
FEW = 60  # validation images of the second condition
RULES = {
    "fixed 0.5": lambda p, y: torch.full((p.shape[1],), 0.5),
    "one threshold": lambda p, y: f1_thresholds(p, y, shared=True, pseudo=0),
    "each label's own": lambda p, y: f1_thresholds(p, y, pseudo=0),
    "shrunk": f1_thresholds,
}
OURS = "shrunk"


def probabilities(
    data: StudySet, features: NDArray[np.float32], images: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Probabilities and targets of the test images, by ridge regression on drawn images."""
    train, _ = data.draw(images, seed)
    found = torch.from_numpy(features)
    fit = ridge_start(found[train], torch.from_numpy(data.present[train]))
    logits = found[data.test] @ fit.weight.T + fit.bias
    return torch.sigmoid(logits), torch.from_numpy(data.judged[data.test])


def macro_f1(p: Tensor, y: Tensor, thresholds: Tensor, labels: Tensor) -> float:
    """Mean F1, 0 to 100, over the labels; unknown targets are left out."""
    chosen = p >= thresholds
    hits = (chosen & (y == 1)).sum(0).double()
    f1 = 2 * hits / ((chosen & (y >= 0)).sum(0) + (y == 1).sum(0)).clamp(min=1)
    return 100 * float(f1[labels].mean())


def f1_of_a_draw(p: Tensor, y: Tensor, count: int, seed: int) -> dict[str, float]:
    """Mean macro-F1 over re-splits, by rule."""
    found: dict[str, list[float]] = {name: [] for name in RULES}
    for split in range(RESPLITS):
        generator = torch.Generator().manual_seed(1000 * seed + split)
        order = torch.randperm(len(p), generator=generator)
        mine, others = order[:count], order[count:]
        labels = (y[mine] == 1).any(0) & (y[others] == 1).any(0)
        for name, rule in RULES.items():
            thresholds = rule(p[mine], y[mine])
            found[name].append(macro_f1(p[others], y[others], thresholds, labels))
    return {name: float(np.mean(values)) for name, values in found.items()}


def as_it_is(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Changes nothing."""
    return p, y


def emptied(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Takes all labels from a fifth of the images."""
    chosen = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.2
    return p, torch.where(chosen[:, None] & (y == 1), torch.zeros_like(y), y)


def masked(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Makes a fifth of all targets unknown."""
    chosen = torch.rand(y.shape, generator=torch.Generator().manual_seed(2)) < 0.2
    return p, torch.where(chosen, -torch.ones_like(y), y)


def tied(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds probabilities to two decimals."""
    return (100 * p).round() / 100, y


def all_three(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Empty images, unknown targets and ties."""
    return tied(*masked(*emptied(p, y)))


CONDITIONS = {
    "as they are": as_it_is,
    "empty images": emptied,
    "unknown targets": masked,
    "ties": tied,
    "all three": all_three,
}


def missed(p: Tensor, y: Tensor, alpha: float) -> dict[str, float]:
    """Mean missed share on new images over re-splits, and its standard error."""
    n = len(p) // 2
    losses = []
    for split in range(CONFORMAL_RESPLITS):
        order = torch.randperm(len(p), generator=torch.Generator().manual_seed(split))
        threshold = conformal_threshold(p[order[:n]], y[order[:n]], alpha)
        rest, present = p[order[n:]], y[order[n:]] == 1
        share = (present & (rest < threshold)).sum(1) / present.sum(1).clamp(min=1)
        losses.append(float(share.double().mean()))
    error = float(np.std(losses)) / len(losses) ** 0.5
    return {
        "alpha": alpha,
        "least": alpha - 2 / (n + 1),
        "mean": float(np.mean(losses)),
        "se": error,
    }


def speed_beside_mapie(p: Tensor, y: Tensor) -> dict[str, float]:
    """Processor seconds of one threshold."""
    from mapie.risk_control import MultiLabelClassificationController

    kept = (y == 1).any(1)
    values, targets = p[kept].double().numpy(), (y[kept] == 1).int().numpy()
    ours, theirs = [], []
    for _ in range(5):
        controller = MultiLabelClassificationController(
            lambda rows: values[rows[:, 0].astype(int)],
            risk="recall",
            method="crc",
            target_level=0.9,
        )
        began = time.process_time()
        controller.calibrate(np.arange(len(values))[:, None], targets)
        theirs.append(time.process_time() - began)
        began = time.process_time()
        for _ in range(20):
            conformal_threshold(values, targets, 0.1)
        ours.append((time.process_time() - began) / 20)
    return {
        "images": len(values),
        "labels": values.shape[1],
        "ours": min(ours),
        "MAPIE": min(theirs),
        "ratio": min(theirs) / min(ours),
    }


def compared(draws: list[dict[str, float]]) -> dict[str, Any]:
    """Means, and differences of the shrunk thresholds with their standard errors over draws."""
    row: dict[str, Any] = {name: float(np.mean([d[name] for d in draws])) for name in RULES}
    for name in RULES:
        if name != OURS:
            gains = [d[OURS] - d[name] for d in draws]
            error = float(np.std(gains, ddof=1)) / len(gains) ** 0.5
            row[f"over {name}"] = {"points": float(np.mean(gains)), "se": error}
    return row


def pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean differences over all rows, and the lowest of one row.

    The standard error is at most that of rows which agree in their draws: the mean of theirs. The
    lowest is in standard errors: below -2, the shrunk thresholds would be worse there beyond
    chance.
    """
    found: dict[str, Any] = {}
    for name in RULES:
        if name != OURS:
            each = [row[f"over {name}"] for row in rows]
            found[f"over {name}"] = {
                "points": float(np.mean([row["points"] for row in each])),
                "se at most": float(np.mean([row["se"] for row in each])),
                "lowest in standard errors": min(row["points"] / row["se"] for row in each),
            }
    return found


def main() -> None:
    """Runs the study on the sets that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs") / "decisions")
    parser.add_argument("--sets", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument(
        "--coverage", action="store_true", help="Missed shares only; keep the other results."
    )
    options = parser.parse_args()
    limit_threads()
    warnings.simplefilter("ignore")
    f1, coverage, speed = [], [], []
    before = read_json(RESULTS, "results") if options.coverage else {}
    for name in options.sets:
        sizes = SIZES[name]
        if name != "scenes" and not (options.root / name).is_dir():
            print(f"no {options.root / name}, left out")
            continue
        options.out.mkdir(parents=True, exist_ok=True)
        data = read_set(name, options.root, options.out)
        features = run_pass(data, SIZE, options.out / "passes").features
        for images in sizes:
            drawn = [probabilities(data, features, images, seed) for seed in range(SEEDS)]
            for count in () if options.coverage else (len(data.test) // 2, FEW):
                draws = [f1_of_a_draw(*pair, count, seed) for seed, pair in enumerate(drawn)]
                row = {"set": name, "training": images, "validation": count, **compared(draws)}
                f1.append(row)
                print({k: v for k, v in row.items() if not isinstance(v, dict)}, flush=True)
            for condition, change in CONDITIONS.items():
                pair = change(*drawn[0])
                for alpha in (0.05, 0.1, 0.2):
                    where = {"set": name, "training": images, "condition": condition}
                    coverage.append({**where, **missed(*pair, alpha)})
                    print(coverage[-1], flush=True)
        if not options.coverage:
            speed.append({"set": name, **speed_beside_mapie(*drawn[0])})
            print(speed[-1])
    if options.coverage:
        f1, speed = before["macro F1"], before["seconds"]
        others = [row for row in before["missed share"] if row["set"] not in options.sets]
        coverage = others + coverage
    parts = {"macro F1": f1, "pooled": pooled(f1), "missed share": coverage, "seconds": speed}
    write_json(RESULTS, parts)


if __name__ == "__main__":
    main()
