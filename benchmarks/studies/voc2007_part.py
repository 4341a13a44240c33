"""Last-epoch validation mAP on the VOC 2007 part, over seeds, for the GAT head and the linear head.

    python benchmarks/studies/voc2007_part.py --root ../shared/data/voc2007-part --seeds 0 1 2

Trains on the 508 training images and reports, per run, the uninterpolated mAP on the 488
validation images of the *last* epoch, over the labels with at least ten validation positives and
over all labels with any. The options were chosen
on this same validation split, so the figures are somewhat optimistic. Writes every run's figures,
the versions and the machine to benchmarks/results/voc2007-part.json.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from study import arguments, write_result

from gatlabel.training import TrainConfig, plain, train

ENOUGH = 10  # validation positives below which a label's AP is mostly chance


def settings(root: Path) -> TrainConfig:
    """The command of docs/studies/voc2007-part.md."""
    return plain().with_options(
        {
            "data": "csv",
            "data.root": root,
            "encoder.backbone": "efficientnet_lite0",
            "encoder.freeze": "norms",
            "images.size": 160,
            "images.augmentation": "light",
            "run.epochs": 8,
            "optimizer.encoder_lr": 0.05,
            "run.compare": "no",
            "run.progress": False,
        }
    )


def one_run(config: TrainConfig) -> dict[str, float]:
    """Trains once and returns the figures of the last epoch."""
    with tempfile.TemporaryDirectory() as folder:
        result = train(config.with_options({"run.output": Path(folder) / "run"}))
    report = result.evaluations[0].report
    frequent = report.positives >= ENOUGH
    return {
        "seed": config.run.seed,
        "mAP_frequent": float(report.ap[frequent].mean()),
        "labels_frequent": int(frequent.sum()),
        "mAP": report.metrics["mAP"],
        "CF1": report.metrics["CF1"],
        "OF1": report.metrics["OF1"],
        "training_seconds": round(result.seconds, 1),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--root", type=Path, default=Path("../shared/data/voc2007-part"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--heads", nargs="+", default=["gat", "linear"])
    given = parser.parse_args()
    if not given.root.is_dir():
        print(f"no {given.root}, left out")
        return
    config = settings(given.root)
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in given.seeds:
        for head in given.heads:  # interleaved: a drift of the machine meets all alike
            figures = one_run(config.with_options({"head": head, "run.seed": seed}))
            runs.setdefault(head, []).append(figures)
            print(head, figures, flush=True)
    means = {
        head: {
            "mean": float(np.mean([run["mAP_frequent"] for run in of_head])),
            "std": float(np.std([run["mAP_frequent"] for run in of_head], ddof=1)),
        }
        for head, of_head in runs.items()
        if len(of_head) > 1
    }
    options = {k: v for k, v in config.to_dict().items() if k not in ("root", "output", "seed")}
    content = {
        "protocol": "uninterpolated AP, validation split, last epoch (moving average), labels with "
        f"at least {ENOUGH} validation positives; difficult objects unknown",
        "config": options,
        "runs": runs,
        "mAP_frequent": means,
    }
    write_result("voc2007-part", content)
    print(means)


if __name__ == "__main__":
    main()
