"""Compare label graphs: first their structure, then their effect, against controls.

The benchmark trains ``linear`` and ``gat`` on each graph, without edges, with random edges, with
permuted labels, and with the edges ablated at test. The sizes here are for a demonstration: use
the defaults, five seeds and your own data for a result.
"""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from gatlabel import Cooccurrence
from gatlabel.data.options import Scenes
from gatlabel.data.scenes import PRESETS, read_scenes, true_graph
from gatlabel.experiments import BenchmarkResult, benchmark_graphs
from gatlabel.graph import IsolatedLabelsWarning, compare

warnings.simplefilter("ignore", IsolatedLabelsWarning)

# 1. Structure: edges, degrees, isolated labels, and shared edges.
splits = read_scenes("voc", train=500, val=8, test=8, seed=0)
counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
graphs = {name: counts.graph(name) for name in ("conditional", "npmi", "lift")}
graphs["true"] = true_graph(PRESETS["voc"])  # scenes are drawn from a known graph
print(compare(graphs).table())

# 2. Effect: the same head on each graph, and its controls.
with TemporaryDirectory() as folder:
    result = benchmark_graphs(
        data=Scenes(train_images=100, test_images=50),
        graphs="npmi",
        seeds=1,
        trials=1,
        frozen_epochs=2,
        pretrain_images=100,
        pretrain_epochs=1,
        workers=1,
        output=Path(folder) / "benchmark",
        progress=False,
        **{"images.cache_folder": Path(folder) / "cache"},
    )
    print(result.table())
    for sentence in result.verdict:
        print(sentence)

    # 3. Everything can be recomputed from the saved scores.
    again = BenchmarkResult.load(Path(folder) / "benchmark")
    assert again.verdict == result.verdict
