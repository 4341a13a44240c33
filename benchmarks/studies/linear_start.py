"""What is it worth that linear classifiers on frozen features start as ridge regression?

    python benchmarks/studies/linear_start.py --shared ../shared   # 15 minutes on two cores

The linear head with ``frozen_start`` ``ridge`` against ``random`` (how ``nn.Linear`` starts, and
decaying to zero), each with the same nine settings of rate and decay on the tuning split, the same
images and the same order of them, on scenes and on the photographs that are there. Differences
of test mAP with the benchmark's intervals over images and seeds, Holm-corrected.

Writes benchmarks/results/linear-start.json. Interrupted runs go on where they stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from study import PHOTOGRAPHS, arguments, write_result

from gatlabel.experiments import make_config, run_benchmark
from gatlabel.experiments.jackknife import contributions
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.preparation import read_task
from gatlabel.experiments.statistics import holm, paired_difference, too_few
from gatlabel.experiments.store import Store

RUNS = Path("runs") / "linear-start"
STARTS, FRACTIONS = ("random", "ridge"), (0.1, 0.3, 1.0)
LINEAR = Method("linear")
#: Scenes of drawings that the start was not chosen on.
DATA: dict[str, dict[str, Any]] = {
    "scenes": {"data": "scenes", "run.seed": 5, "tuning_seeds": 3},
    "voc2007-part": PHOTOGRAPHS,
    "coco-part": PHOTOGRAPHS,
}


def study(
    name: str, options: dict[str, Any], seeds: int, workers: int | None
) -> list[dict[str, Any]]:
    """Runs both starts on one data set and compares them at every share of the images."""
    stores = {}
    for start in STARTS:
        config = make_config(
            "heads",
            heads=("linear",),
            train_fractions=FRACTIONS,
            seeds=seeds,
            workers=workers,
            frozen_start=start,
            output=RUNS / name / start,
            **options,
        )
        one = next(iter(run_benchmark(config).data_sets.values()))
        stores[start] = Store(RUNS / name / start)
        stores[start].load()
    targets = np.asarray(read_task(config.train).roles.report.targets)
    rows = []
    for fraction in FRACTIONS:
        measured, chosen = {}, {}
        for start, store in stores.items():
            runs = [(LINEAR, Condition(fraction), seed) for seed in range(seeds)]
            scores = [store.read_scores(run) for run in runs]
            measured[start] = [contributions(s, targets) for s in scores]
            values = store.runs[runs[0]].values
            chosen[start] = {n: values[n] for n in ("lr", "weight_decay", "anchor_strength")}
        why = too_few(targets)
        d = paired_difference(measured["ridge"], measured["random"], why=why)
        rows.append(
            {
                "data": name,
                "fraction": fraction,
                "mAP": {
                    s: [round(100 * run.value, 3) for run in runs] for s, runs in measured.items()
                },
                "chosen": chosen,
                "points": round(100 * d.value, 2),
                "interval": d.ends,
                "p": d.p,
                "why": d.why,
                "machine": dict(one.environment),
            }
        )
    return rows


def correct(rows: Sequence[dict[str, Any]]) -> None:
    """Adds p-values corrected for all differences that have one; ``None`` to the others."""
    corrected = iter(holm([row["p"] for row in rows if row["p"] is not None]))
    for row in rows:
        row["p_holm"] = None if row["p"] is None else next(corrected)


def line(row: dict[str, Any]) -> str:
    """A row in words; without an interval, why there is none."""
    means = " against ".join(f"{np.mean(row['mAP'][s]):.1f}" for s in reversed(STARTS))
    text = f"{row['data']}, {row['fraction']:.0%} of the images: {means}, {row['points']:+.2f}"
    if row["interval"] is None:
        return f"{text}, {row['why']}"
    low, high = row["interval"]
    return f"{text} [{low:+.2f}, {high:+.2f}], p {row['p_holm']:.3f}"


def main() -> None:
    """Runs, prints and writes."""
    parser = arguments(__doc__, seeds=5, shared=True)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    rows = []
    for name, given in DATA.items():
        root = options.shared / "data" / name
        if given["data"] == "csv" and not root.is_dir():
            print(f"no {root}, left out")
            continue
        more = {"data.root": root} if given["data"] == "csv" else {}
        rows += study(name, {**given, **more}, options.seeds, options.workers)
    correct(rows)
    print("\n".join(map(line, rows)))
    content = {"seeds": options.seeds, "differences": rows}
    write_result("linear-start", content, options.workers or 0)


if __name__ == "__main__":
    main()
