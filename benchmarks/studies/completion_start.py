"""What classifiers start from where labels are missing, and what training makes of that start.

    python benchmarks/studies/completion_start.py --shared ../shared    # some minutes on one core

On the data that both were chosen on: scenes of seed 3, and the photographs with training and
reported images exchanged. A linear head, frozen features, half or 80 % of the labels hidden.

- ``start``: mAP of ridge regression of the known labels (``ignore``), of what completion with the
  ``npmi`` graph starts from (``complete``), and of ridge regression of all labels (``truth``);
- ``trained``: of the head that starts at ``ignore`` and learns at rate 0.005, by how firmly it is
  held there.

Labels of which no positive is known are left out: their classifier is zero, and AP of nothing but
ties is below that of any order. Writes benchmarks/results/completion-start.json: mAP in per cent, a
number a seed.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from study import PHOTOGRAPHS, arguments, write_result
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.experiments import make_config
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.preparation import FrozenData, prepare, read_task
from gatlabel.experiments.splits import share_of
from gatlabel.graph import Cooccurrence, IsolatedLabelsWarning
from gatlabel.metrics import average_precision
from gatlabel.missing import make_completion
from gatlabel.missing.starting import completed_start
from gatlabel.nn import LinearHead
from gatlabel.targets import Targets

HOLDS = (0.0, 0.1, 3.0, 30.0)
_SCENES = {"data": "scenes", "run.seed": 3}
#: Name, options of the benchmark, share of the training images.
DATA: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("scenes, voc", {**_SCENES, "data.preset": "voc"}, 0.05),
    ("scenes, voc", {**_SCENES, "data.preset": "voc"}, 0.25),
    ("scenes, voc", {**_SCENES, "data.preset": "voc"}, 1.0),
    ("scenes, coco", {**_SCENES, "data.preset": "coco"}, 0.1),
    ("scenes, coco", {**_SCENES, "data.preset": "coco"}, 1.0),
    ("voc2007-part", PHOTOGRAPHS, 1.0),
    ("coco-part", PHOTOGRAPHS, 1.0),
)


def points(logits: Tensor, targets: Tensor, judged: Tensor) -> float:
    """MAP in per cent over the judged labels that have a positive."""
    found = average_precision(logits, targets)[judged]
    return round(100 * float(found[~found.isnan()].mean()), 3)


def one_seed(
    data: FrozenData, exchanged: bool, fraction: float, hidden: float, seed: int
) -> dict[str, float]:
    """MAP of all starts and of the heads trained from the first."""
    learned, reported = (data.report, data.train) if exchanged else (data.train, data.report)
    rows = share_of(learned.targets, fraction, seed)
    truth = torch.from_numpy(learned.targets[rows])
    targets = Targets(learned.targets[rows]).mask(hidden, seed).to_dense()
    features = Features(learned.files["pooled"].open(), rows)
    test = Features(reported.files["pooled"].open(), scale=features.scale)
    wanted, judged = torch.from_numpy(reported.targets), (targets == 1).any(0)
    x, y = features[np.arange(len(features))], test[np.arange(len(test))]
    graph = Cooccurrence.from_targets(targets.numpy(), data.names).graph("npmi")
    start = partial(ridge_start, x)
    ignore = start(targets)
    starts = {
        "ignore": ignore,
        "complete": completed_start(start, make_completion("complete", targets, graph), x),
        "truth": start(truth),
    }
    found = {
        f"start, {name}": points(y @ s.weight.T + s.bias, wanted, judged)
        for name, s in starts.items()
    }

    def same(*_: Tensor | None) -> LinearStart:
        return ignore

    for hold in HOLDS:
        head = LinearHead(x.shape[1], len(data.names))
        fit_head(
            head, features, targets, FitOptions(lr=0.005, anchor_strength=hold), seed, start=same
        )
        found[f"trained, hold {hold:g}"] = points(predict(head, test), wanted, judged)
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__, seeds=8, shared=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", IsolatedLabelsWarning)
    rows = []
    for name, options, fraction in DATA:
        exchanged = options["data"] == "csv"
        root = {"data.root": given.shared / "data" / name} if exchanged else {}
        if exchanged and not root["root"].is_dir():
            print(f"{name}: not there, left out")
            continue
        config = make_config("graphs", heads=("linear",), progress=False, **options, **root)
        data = prepare(config, read_task(config.train), lambda text: None)
        for hidden in (0.5, 0.8):
            runs = [one_seed(data, exchanged, fraction, hidden, s) for s in range(given.seeds)]
            found = {key: [run[key] for run in runs] for key in runs[0]}
            base = np.array(found["start, ignore"])
            gains = {k: np.array(v) - base for k, v in found.items() if k != "start, ignore"}
            rows.append({"data": name, "fraction": fraction, "hidden": hidden, "mAP": found})
            shown = ", ".join(f"{k} {v.mean():+.2f}" for k, v in gains.items())
            print(f"{name}, {fraction:.0%}, {hidden:.0%}: {base.mean():.1f}; {shown}", flush=True)
    write_result("completion-start", {"seeds": given.seeds, "rows": rows})


if __name__ == "__main__":
    main()
