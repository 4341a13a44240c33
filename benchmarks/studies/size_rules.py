"""By which rule should the image size of frozen features be chosen?

    python benchmarks/studies/size_rules.py --root ../shared/data --out /elsewhere/size-rules

Ridge regression at 160, 224, 288 and 352 px (EfficientNet-Lite0) on training images drawn from the
photographs of peers.py, ten draws each, that peers.py does not use. Rules choose the size on the
training images alone; figures are the mAP of test images, over labels with at least ten and at
least one test positive. Writes benchmarks/results/size-rules.json; docs/studies/auto.md has the
table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from peer_study.clock import limit_threads
from peer_study.passes import run_pass
from peer_study.sets import StudySet, read_set
from study import write_result
from torch import Tensor

from gatlabel.baselines.ridge import ridge_fit
from gatlabel.metrics import average_precision
from gatlabel.training.starting import LEAST_REDUCTION

SIZES = (160, 224, 288, 352)
IMAGES = {"coco-part": (50, 100), "voc2007-part": (50, 100, 250, 450)}
SEEDS = range(30, 40)  # peers.py has 0 to 9, and stage_choice.py 20 to 29
MEASURES = {"mAP of labels with 10 positives": 10, "mAP": 1}
Draw = dict[int, dict[str, Any]]  # by size: figures of test images, and what rules may see


def one_draw(data: StudySet, found: dict[int, Tensor], images: int, seed: int) -> Draw:
    """Fits ridge regression at every size, and judges it on the test images."""
    rows, _ = data.draw(images, seed)
    known, judged = torch.tensor(data.present[rows]), torch.tensor(data.judged[data.test])
    rates = known.mean(0)
    usable = (rates > 0) & (rates < 1)
    draw = {}
    for size in SIZES:
        start, left_out = ridge_fit(found[size][rows], known)
        scores = found[size][data.test] @ start.weight.T + start.bias
        precision, positives = average_precision(scores, judged), (judged == 1).sum(0)
        points = {
            name: round(100 * float(precision[positives >= least].nanmean()), 3)
            for name, least in MEASURES.items()
        }
        errors = torch.nn.functional.binary_cross_entropy_with_logits(
            left_out[:, usable], known[:, usable].double(), reduction="none"
        )
        draw[size] = {
            **points,
            "error": start.error,
            "frequent error": start.frequent_error,
            "cross-entropy": errors.mean(1).numpy(),
        }
    return draw


def ascending(draw: Draw, key: str = "error", patience: int = 1) -> int:
    """Tries larger sizes until so many of them in a row no longer reduce the error."""
    best, worse = SIZES[0], 0
    for size in SIZES[1:]:
        reduced = draw[size][key] < draw[best][key] * (1 - LEAST_REDUCTION)
        best, worse = (size, 0) if reduced else (best, worse + 1)
        if worse == patience:
            break
    return best


def not_worse(draw: Draw) -> int:
    """Tries larger sizes until one is worse by more than a standard error, paired by image."""
    chosen = best = SIZES[0]
    for size in SIZES[1:]:
        more = draw[size]["cross-entropy"] - draw[best]["cross-entropy"]
        if more.mean() > more.std(ddof=1) / len(more) ** 0.5:
            break
        chosen = size
        best = size if more.mean() < 0 else best
    return chosen


def fixed(size: int, draw: Draw) -> int:
    """Takes one size for all draws."""
    del draw
    return size


RULES: dict[str, Callable[[Draw], int]] = {
    "ascending (the rule of auto)": ascending,
    "ascending, two attempts": lambda draw: ascending(draw, patience=2),
    "ascending, error of frequent labels": lambda draw: ascending(draw, "frequent error"),
    "least error of all sizes": lambda draw: min(SIZES, key=lambda size: draw[size]["error"]),
    "largest that is not worse": not_worse,
    **{f"always {size} px": partial(fixed, size) for size in SIZES},
}


def main() -> None:
    """Runs what sets there are, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs") / "size-rules")
    options = parser.parse_args()
    limit_threads()
    rows = []
    for name, numbers in IMAGES.items():
        if not (options.root / name).is_dir():
            print(f"{name}: not there, left out")
            continue
        data = read_set(name, options.root, options.out)
        found = {
            size: torch.tensor(run_pass(data, size, options.out / "passes").features)
            for size in SIZES
        }
        for images in numbers:
            draws = [one_draw(data, found, images, seed) for seed in SEEDS]
            for rule, choose in RULES.items():
                sizes = [choose(draw) for draw in draws]
                row: dict[str, Any] = {"data": name, "images": images, "rule": rule}
                for measure in MEASURES:
                    row[measure] = [
                        draw[size][measure] for draw, size in zip(draws, sizes, strict=True)
                    ]
                rows.append({**row, "sizes": sizes})
                means = ", ".join(f"{np.mean(row[measure]):.1f}" for measure in MEASURES)
                print(f"{name}, {images} images, {rule}: {means}, {np.mean(sizes):.0f} px")
    write_result("size-rules", {"rows": rows})


if __name__ == "__main__":
    main()
