"""What do shared classifiers of similar labels gain, and which graphs tell who is similar?

    python benchmarks/studies/shared_classifiers.py --shared ../shared  # 15 minutes, one core

Ridge regression in closed form, its penalty by leave-one-out, on frozen EfficientNet-Lite0
features of photographs (224 pixels), learned from the training images and reported on the others,
and the other way round; shares of the images, and shares of the labels hidden. Difference of mAP
to labels on their own, in points, a number a draw:

- ``names k``, ``words k``: k neighbours by the vectors of the labels' names (extra ``names``), or
  by the GloVe vectors that lie beside the photographs; a share of 0.5 for labels without known
  presences, less for others (``weights_by_presences``);
- ``names 5, share s``: other shares; ``names 5, for all``: 0.5 for labels with many presences too;
- ``random``, ``permuted``: the edges of ``names 5`` rewired, or between other labels;
- ``conditional``, ``npmi``, ``svd 5``: the same share from co-occurring labels, counted on what is
  learned from;
- ``names 5: 1-2 known`` and so on: the same as ``names 5``, over labels of which so many presences
  are known to learn from (none where there is no such label).

Writes benchmarks/results/shared-classifiers.json.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from study import arguments, write_result

from gatlabel.baselines.ridge import ridge_start
from gatlabel.experiments import make_config
from gatlabel.experiments.preparation import SplitFeatures, prepare, read_task
from gatlabel.experiments.splits import share_of
from gatlabel.graph import Cooccurrence, IsolatedLabelsWarning, LabelGraph, permuted
from gatlabel.metrics import average_precision
from gatlabel.nn.heads.shared_classifier import ClassifierMixing, weights_by_presences
from gatlabel.targets import Targets

DATA = {"voc2007-part": "voc", "coco-part": "coco"}
#: Share of the training images, share of their labels hidden.
CIRCUMSTANCES = ((0.1, 0.0), (0.3, 0.0), (1.0, 0.0), (1.0, 0.5), (1.0, 0.8))


#: Known presences of a label, from and up to.
GROUPS = {"none": (0, 0), "1-2": (1, 2), "3-9": (3, 9), "10 and more": (10, 10**9)}
ALIKE = "names 5, for all"


Share = float | torch.Tensor


def graphs(counts: Cooccurrence, words: Path, seed: int) -> dict[str, tuple[LabelGraph, Share]]:
    """Every graph that is tried, with the share that neighbours have in a classifier."""
    found: dict[str, tuple[LabelGraph, Share]] = {}
    for k in (3, 5, 10):
        found[f"names {k}"] = counts.graph("knn", vectors="names", k=k), 0.5
        found[f"words {k}"] = counts.graph("knn", vectors=words, k=k), 0.5
    names = found["names 5"][0]
    for share in (0.1, 0.25, 0.75):
        found[f"names 5, share {share}"] = names, share
    found["random"] = counts.graph("random", base=names, seed=seed), 0.5
    found["permuted"] = permuted(names, seed), 0.5
    for variant in ("conditional", "npmi"):
        found[variant] = counts.graph(variant), 0.5
    found["svd 5"] = counts.graph("knn", vectors="svd", k=5), 0.5
    presences = torch.from_numpy(counts.label_counts)
    found = {
        name: (graph, weights_by_presences(share, presences))
        for name, (graph, share) in found.items()
    }
    found[ALIKE] = names, 0.5
    return found


def one_draw(
    learned: SplitFeatures,
    reported: SplitFeatures,
    names: tuple[str, ...],
    words: Path,
    circumstance: tuple[float, float],
    seed: int,
) -> dict[str, float | None]:
    """MAP in per cent of labels on their own, and of all graphs the difference to it."""
    fraction, hidden = circumstance
    rows = share_of(learned.targets, fraction, seed)
    targets = Targets(learned.targets[rows]).mask(hidden, seed).to_dense()
    x, test = (
        torch.from_numpy(np.asarray(part))
        for part in (learned.files["pooled"].open()[rows], reported.files["pooled"].open())
    )
    wanted = torch.from_numpy(reported.targets)

    def points(sharing: torch.Tensor | None) -> torch.Tensor:
        start = ridge_start(x, targets, sharing)
        return 100 * average_precision(test @ start.weight.T + start.bias, wanted)

    def mean(of_labels: torch.Tensor) -> float | None:
        there = of_labels[~of_labels.isnan()]
        return round(float(there.mean()), 3) if len(there) else None

    alone = points(None)
    found = {"alone": mean(alone)}
    known = (targets == 1).sum(0)
    counts = Cooccurrence.from_targets(targets.numpy(), names)
    for name, (graph, share) in graphs(counts, words, seed).items():
        mixing = ClassifierMixing(graph.edge_index, graph.edge_weight, len(names), share)
        gained = points(mixing.matrix()) - alone
        found[name] = mean(gained)
        if name in ("names 5", ALIKE):
            for group, (low, high) in GROUPS.items():
                found[f"{name}: {group} known"] = mean(gained[(known >= low) & (known <= high)])
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__, shared=True)
    parser.add_argument("--draws", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", IsolatedLabelsWarning)
    rows: list[dict[str, Any]] = []
    for name, words in DATA.items():
        root = given.shared / "data" / name
        if not root.is_dir():
            print(f"{name}: not there, left out")
            continue
        config = make_config(
            "graphs",
            heads=("linear",),
            progress=False,
            **{
                "data": "csv",
                "data.root": root,
                "encoder.backbone": "efficientnet_lite0",
                "images.size": 224,
            },
        )
        data = prepare(config, read_task(config.train), lambda text: None)
        vectors = given.shared / "data" / "label-statistics" / f"{words}-glove300.npz"
        for exchanged in (False, True):
            splits = (data.report, data.train) if exchanged else (data.train, data.report)
            for fraction, hidden in CIRCUMSTANCES:
                # all images with all labels are the same in every draw, but for the controls
                draws = [
                    one_draw(*splits, data.names, vectors, (fraction, hidden), seed)
                    for seed in range(given.draws)
                ]
                found = {key: [draw[key] for draw in draws] for key in draws[0]}
                rows.append(
                    {
                        "data": name,
                        "exchanged": exchanged,
                        "fraction": fraction,
                        "hidden": hidden,
                        "points": found,
                    }
                )
                values = {k: [x for x in v if x is not None] for k, v in found.items()}
                shown = ", ".join(f"{k} {np.mean(v):+.2f}" for k, v in values.items() if v)
                way = ", exchanged" if exchanged else ""
                print(f"{name}{way}, {fraction:.0%}, {hidden:.0%} hidden: {shown}", flush=True)
    write_result("shared-classifiers", {"draws": given.draws, "rows": rows})


if __name__ == "__main__":
    main()
