"""Classical methods beside the linear and the graph-attention head, on the same frozen features.

    python benchmarks/studies/classical.py --shared ../shared    # minutes on two cores
    python benchmarks/studies/classical.py --trials 9            # the heads tuned: longer

``gatlabel benchmark methods`` on voc2007-part. Heads take the middle setting of the optimiser
unless more trials are asked for; classical methods choose their own options on the training images
either way. Processor seconds are those of fitting and scoring once, in one process, whatever else
the machine does. Writes benchmarks/results/classical/.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from study import PHOTOGRAPHS, RESULTS, arguments

from gatlabel.baselines.classical import CLASSICAL, ClassicalClassifier
from gatlabel.experiments import make_config, run_benchmark
from gatlabel.experiments.environment import environment
from gatlabel.experiments.preparation import prepare, read_task
from gatlabel.files import write_json

KEPT = ("results.csv", "table.md", "comparisons.json", "environment.json", "protocol.json")


def main() -> None:
    parser = arguments(__doc__, seeds=1, shared=True)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--output", type=Path, help="folder of the benchmark, to go on with it")
    options = parser.parse_args()
    target = RESULTS / "classical"
    target.mkdir(exist_ok=True)
    with TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        config = make_config(
            "methods",
            seeds=options.seeds,
            trials=options.trials,
            workers=2,
            output=folder / "benchmark",
            **PHOTOGRAPHS,
            **{
                "data.root": options.shared / "data" / "voc2007-part",
                "images.cache_folder": folder / "cache",
            },
        )
        task = read_task(config.train)
        data = prepare(config, task, print)
        features, queries = (
            torch.tensor(split.files["pooled"].open()) for split in (data.train, data.report)
        )
        torch.set_num_threads(1)
        seconds = {}
        for name in CLASSICAL:
            began = time.process_time()
            ClassicalClassifier(name).fit(features, data.train.targets).scores(queries)
            seconds[name] = round(time.process_time() - began, 2)
            print(name, seconds[name], "processor seconds", flush=True)
        began = time.perf_counter()
        run_benchmark(config, log=print)
        wall = round(time.perf_counter() - began, 1)
        for name in KEPT:
            shutil.copy(folder / "benchmark" / name, target / name)
    content = {
        "processor_seconds": seconds,
        "sum": round(float(np.sum(list(seconds.values()))), 1),
        "benchmark_wall_seconds": wall,
        "machine": environment(2),
    }
    write_json(target / "seconds.json", content)


if __name__ == "__main__":
    main()
