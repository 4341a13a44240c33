"""Do similar labels help to learn a new label from no image, or from few?

    python benchmarks/studies/few_shot.py --root ../shared/data    # five minutes on one core

Episodes have seeds from 2000 on; the learner ``similar`` was developed with other episodes.

Frozen EfficientNet-Lite0 features of voc2007-part and coco-part (160 pixels) and of built-in scenes
drawn at 192 pixels. One half of the images (of coco-part 60 %) to learn from, the rest to judge by.
Ten episodes each: a quarter of the labels drawn anew as novel, and on coco-part also the split of
LaSO. Similarity is the cosine of the vectors of label names; controls are the same vectors in
permuted order and random ones (means of three each without images, of one with).
Writes benchmarks/results/few-shot.json, or few-shot-laso.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from similarity import Data, photographs
from study import RESULTS, arguments, write_result
from torch import Tensor

from gatlabel.baselines.similarity import source_from_vectors
from gatlabel.experiments import make_config
from gatlabel.experiments.preparation import read_task
from gatlabel.features import extract
from gatlabel.fewshot import FewShotOptions, FewShotResult, LabelledFeatures, run_episodes
from gatlabel.fewshot.results import Interval
from gatlabel.fewshot.splits import LASO_NOVEL
from gatlabel.graph import Cooccurrence
from gatlabel.graph.name_vectors import name_vectors
from gatlabel.labels import LabelSet
from gatlabel.training.building import build_model

CASES: tuple[tuple[str, str | float, tuple[int, ...]], ...] = (
    ("scenes", 0.25, (0, 1, 5)),
    ("voc2007-part", 0.25, (0, 1, 5)),
    ("coco-part", "laso", (0, 1, 2)),
    ("coco-part", 0.25, (0, 1)),
)
PERMUTATIONS = 3
MOST_SCENES = 1000
SIDE = 192


def large_scenes(cache: Path) -> Data:
    """Scenes whose objects are large enough for an encoder that knows photographs."""
    given: dict[str, Any] = {"data.size": SIDE, "data.train_images": 1500, "data.test_images": 600}
    config = make_config(
        "graphs",
        heads=("linear",),
        progress=False,
        data="scenes",
        **{"encoder.backbone": "efficientnet_lite0", "images.size": SIDE},
        **given,
    )
    task = read_task(config.train)
    counts = Cooccurrence.from_targets(task.roles.train.targets, task.names)
    train = config.train.resolved().with_options({"encoder.weights": "imagenet", "head": "linear"})
    model = build_model(train, counts.graph("identity")).eval()
    sources = [task.roles.train, task.roles.report]
    files = [extract(model, source, "pooled", cache).open() for source in sources]
    features = torch.from_numpy(np.concatenate([np.asarray(f) for f in files]))
    targets = torch.from_numpy(np.concatenate([np.asarray(s.targets) for s in sources]))
    vectors = torch.from_numpy(name_vectors(task.names)).double()
    rows = slice(MOST_SCENES)
    return Data("scenes", LabelSet(task.names), features[rows], targets[rows], vectors)


def halves(data: Data, share: float) -> LabelledFeatures:
    """The images in two parts, by a seed."""
    order = torch.randperm(len(data.features), generator=torch.Generator().manual_seed(0))
    cut = int(share * len(order))
    one, two = order[:cut], order[cut:]
    return LabelledFeatures(
        data.labels, data.features[one], data.targets[one], data.features[two], data.targets[two]
    )


def case(
    data: Data, novel: str | float, shots: tuple[int, ...], given: argparse.Namespace
) -> dict[str, Any]:
    """One set and one kind of split: learners, and the controls of similarity."""
    parts = halves(data, 0.6 if data.name == "coco-part" else 0.5)
    common: dict[str, Any] = {
        "episodes": given.episodes, "novel": novel, "with_novel": novel == "laso",
        "seed": given.seed,
    }  # fmt: skip
    began = time.process_time()
    source = source_from_vectors("names", data.vectors)
    # a label without enough images for the most shots is not novel, with fewer shots neither
    ours = run_episodes(parts, source, FewShotOptions(shots=shots, **common))
    rows = ours.rows()
    generator = torch.Generator().manual_seed(1)
    order = [torch.randperm(len(data.vectors), generator=generator) for _ in range(PERMUTATIONS)]
    drawn = [torch.randn(data.vectors.shape, generator=generator) for _ in range(PERMUTATIONS)]
    controls = {"permuted": [data.vectors[one] for one in order], "random": drawn}
    if given.no_controls:
        controls = {}
    found: dict[str, Any] = {}
    for name, vectors in controls.items():
        few = run_episodes(
            parts,
            source_from_vectors(name, vectors[0]),
            FewShotOptions(shots=shots, learners=("similar",), **common),
        )
        zero = zero_shot(parts, vectors, ours, common, max(shots))
        for K in shots:
            values = zero if K == 0 else np.array(few.values["similar", K])
            gap = 100 * (np.array(ours.values["similar", K]) - values)
            found[f"names minus {name}, {K} shots"] = vars(Interval.of(gap.tolist()))
    seconds = time.process_time() - began
    return {
        "data": data.name,
        "novel": novel,
        "rows": rows,
        "controls": found,
        "weights": [one.weight for one in ours.strengths],
        "population": [one.population for one in ours.strengths],
        "novel labels": ours.novel,
        "seconds": round(seconds, 1),
    }


def zero_shot(
    parts: LabelledFeatures,
    vectors: list[Tensor],
    ours: FewShotResult,
    common: dict[str, Any],
    most: int,
) -> np.ndarray:
    """MAP without images under other vectors, the mean over them, by episode."""
    total = np.zeros(len(ours.novel))
    if common["novel"] == "laso":  # labels with too few images stay unknown, as they were
        left_out = [k for k, name in enumerate(parts.labels) if name in LASO_NOVEL]
        left_out = [k for k in left_out if parts.labels[k] not in ours.novel[0]]
        targets = parts.targets.clone()
        targets[:, left_out] = -1
        parts = dataclasses.replace(parts, targets=targets)
    for episode, names in enumerate(ours.novel):
        options = FewShotOptions(
            **{**common, "novel": tuple(names), "episodes": 2}, shots=(0,), learners=("similar",)
        )
        for one in vectors:
            result = run_episodes(parts, source_from_vectors("control", one), options)
            total[episode] += result.values["similar", 0][0] / len(vectors)
    return total


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__)
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "features")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=2000, help="seed of the episodes")
    parser.add_argument("--laso", action="store_true", help="the split of LaSO only")
    parser.add_argument("--no-controls", action="store_true", help="a third of the time")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    output = "few-shot-laso" if given.laso else "few-shot"
    for name, novel, shots in CASES:
        if given.laso and novel != "laso":
            continue
        if name == "scenes":
            data = large_scenes(given.cache)
        elif (given.root / name).is_dir():
            data = photographs(name, given.root, given.cache)
        else:
            print(f"{name}: not there, left out")
            continue
        results.append(case(data, novel, shots, given))
        print(name, novel, f"{results[-1]['seconds']} s of CPU time", flush=True)
        for row in results[-1]["rows"]:
            ends = f"{row['mean']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
            print(" ", row["learner"], row["shots"], ends, row.get("minus ridge", ""))
        for control, interval in results[-1]["controls"].items():
            print(" ", control, {end: round(value, 1) for end, value in interval.items()})
        # after every case, so that what is measured is kept
        write_result(output, {"episodes": given.episodes, "seed": given.seed, "cases": results})
    print(f"written to {RESULTS / output}.json")


if __name__ == "__main__":
    main()
