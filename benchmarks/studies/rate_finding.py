"""Does ``--lr find`` train as well as the default rate? Four epochs each, from the same start.

    python benchmarks/studies/rate_finding.py OUTPUT.json [ROOT ...]

500 scenes of 96 pixels, and every data set in csv form whose folder is given, at 96 pixels with
batch norms frozen. The ends of all runs are written as JSON.
"""

from __future__ import annotations

import copy
import itertools
import sys
from pathlib import Path
from typing import Any

import torch

from gatlabel.files import write_json
from gatlabel.graph import Cooccurrence
from gatlabel.training import TrainConfig, plain
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.data import loaders, read_data
from gatlabel.training.fitting import fit
from gatlabel.training.rate_finding import find_rate
from gatlabel.training.starting import start_in_closed_form

DEFAULT = 3e-3
SEEDS = (0, 1, 2)


def config_of(root: Path | None, head: str, start: str, seed: int) -> TrainConfig:
    """Returns the resolved options of one run."""
    options: dict[str, Any] = {"head": head, "run.seed": seed, "run.epochs": 4}
    options["head.start"] = start
    options |= {"run.compare": "no", "run.progress": False}
    if root is None:
        options |= {"data.train_images": 500, "data.test_images": 400}
    else:
        options |= {"data": "csv", "data.root": root, "images.size": 96, "encoder.freeze": "norms"}
    return plain().with_options(options).resolved()


def measure(root: Path | None, head: str, start: str, seed: int) -> dict[str, Any]:
    """Trains at the rate found and at the default; returns both validation mAP."""
    config = config_of(root, head, start, seed)
    splits = read_data(config)
    graph = build_graph(config, Cooccurrence.from_targets(splits.train.targets, splits.labels))
    torch.manual_seed(seed)
    model = build_model(config, graph)
    if start == "ridge":
        start_in_closed_form(model, config, splits, None, lambda line: None)
    batches = loaders(splits, model, config)
    rate = find_rate(model, config, batches[0])
    found = {"data": root.name if root else "scenes", "head": head, "start": start, "seed": seed}
    ends = {
        name: fit(copy.deepcopy(model), config.with_options({"optimizer.lr": lr}), batches, None)[
            -1
        ]
        for name, lr in (("found", rate), ("default", DEFAULT))
    }
    return {**found, "rate": rate, **{name: end["val_mAP"] for name, end in ends.items()}}


def main() -> None:
    """Measures all cells and writes them after each."""
    torch.set_num_threads(1)
    output, *roots = sys.argv[1:]
    cells = itertools.product([None, *map(Path, roots)], ("ridge", "random"), ("linear", "gat"))
    rows = []
    for (root, start, head), seed in itertools.product(cells, SEEDS):
        rows.append(measure(root, head, start, seed))
        print(rows[-1], flush=True)
        write_json(output, rows)


if __name__ == "__main__":
    main()
