"""Which resolution suits frozen features: leave-one-out on training images against validation.

    python benchmarks/studies/resolutions.py --root FOLDER --sets voc2007-part coco-part

Writes benchmarks/results/resolutions.json; docs/studies/auto.md has the table.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from study import RESULTS, arguments

from gatlabel.baselines.ridge import ridge_start
from gatlabel.features import extract
from gatlabel.files import write_json
from gatlabel.graph import Cooccurrence
from gatlabel.metrics import evaluate_scores
from gatlabel.training import TrainConfig
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.data import read_data

SIZES = (128, 160, 192, 224, 288, 352, 416)
FREQUENT = 10  # test positives of the labels of the first figure


def figures(root: Path, size: int, cache: Path) -> dict[str, float | int | str]:
    """Fits ridge regression at one size and judges it on the validation images."""
    config = (
        TrainConfig()
        .with_options(
            {
                "data": "csv",
                "data.root": root,
                "data.annotations": Path("labels.csv"),
                "data.classes": root / "classes.txt",
                "images.size": size,
                "head": "linear",
            }
        )
        .resolved()
    )
    splits = read_data(config)
    counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build_model(config, build_graph(config, counts)).eval()
    x, v = (
        torch.tensor(extract(model, source, "pooled", cache).open())
        for source in (splits.train, splits.val)
    )
    start = ridge_start(x, splits.train.targets.to_dense())
    targets = splits.val.targets.to_dense()
    report = evaluate_scores(v @ start.weight.T + start.bias, targets, splits.labels)
    ap = torch.as_tensor(report.ap)
    frequent = ((targets == 1).sum(0) >= FREQUENT) & ~ap.isnan()
    return {
        "set": root.name,
        "size": size,
        "train": len(x),
        "leave-one-out error": round(start.error, 5),
        "val mAP": round(float(report.metrics["mAP"]), 4),
        "val mAP, frequent": round(float(ap[frequent].mean()), 4),
    }


def main() -> None:
    """Measures every set and size."""
    parser = arguments(__doc__)
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", default=["voc2007-part", "coco-part"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.sets:
        for size in options.sizes:
            rows.append(figures(options.root / name, size, options.cache))
            print(rows[-1], flush=True)
    write_json(RESULTS / "resolutions.json", rows)


if __name__ == "__main__":
    main()
