"""Does the choice of similarity from the training set find where it pays, and leave the rest alone?

    python benchmarks/studies/similarity.py --root ../shared/data    # ten minutes on one core

Frozen EfficientNet-Lite0 features (160 pixels) of voc2007-part, coco-part and the built-in scenes,
and two synthetic sets: one whose label vectors say which classifiers are alike, one whose vectors
say nothing. Random halves, one to learn from and one to report. Circumstances: all labels known,
the same on 15 % of the images, and a quarter of the labels without any known target. Differences
are in points of AP, averaged over labels with a test positive:

- ``seen``: labels with positives, the choice less strength 0;
- ``unseen``: labels without, the choice less strength 0, whose classifiers are constant;
- ``unseen-permuted``, ``unseen-random``: the choice less the same strength and rule with names
  permuted, and with random similarity (the mean of three draws each);
- ``map``, ``neighbours``: labels without positives, either rule less the permuted choice;
- ``exact``: at strength 0 the average precisions are equal to the last bit.

The same with GloVe vectors of the names, where they lie beside the photographs.

Then the share of draws in which nothing is chosen where there is nothing: shuffled names as the
only source, and all sources with each label's targets permuted over images.
Writes benchmarks/results/similarity.json.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from study import RESULTS, arguments
from torch import Tensor

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity import (
    SimilarityChoice,
    candidate_sources,
    choose_similarity,
    similarity_start,
    source_from_vectors,
)
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.experiments import make_config
from gatlabel.experiments.environment import environment
from gatlabel.experiments.preparation import read_task
from gatlabel.features import extract
from gatlabel.files import write_json
from gatlabel.graph import Cooccurrence
from gatlabel.graph.name_vectors import name_vectors
from gatlabel.graph.vectors import load_vectors
from gatlabel.labels import LabelSet
from gatlabel.metrics import average_precision
from gatlabel.training.building import build_model

CIRCUMSTANCES = {"all known": (0.5, 0.0), "15 % of images": (0.15, 0.0), "quarter": (0.5, 0.25)}
CONTROLS = 3
MOST_SCENES = 1200
#: GloVe vectors of label names, beside the photographs.
WORDS = {"voc2007-part": "voc-glove300.npz", "coco-part": "coco-glove300.npz"}


@dataclass(frozen=True)
class Data:
    """Features, targets and label vectors of one set."""

    name: str
    labels: LabelSet
    features: Tensor
    targets: Tensor
    vectors: Tensor


def photographs(name: str, root: Path, cache: Path) -> Data:
    """Features of a csv set, or of the scenes, by the ImageNet encoder."""
    given: dict[str, Any] = (
        {"data": "scenes"} if name == "scenes" else {"data": "csv", "data.root": root / name}
    )
    config = make_config(
        "graphs",
        heads=("linear",),
        progress=False,
        **{"encoder.backbone": "efficientnet_lite0", "images.size": 160},
        **given,
    )
    task = read_task(config.train)
    counts = Cooccurrence.from_targets(task.roles.train.targets, task.names)
    train = config.train.resolved().with_options({"encoder.weights": "imagenet", "head": "linear"})
    model = build_model(train, counts.graph("identity")).eval()
    sources = [task.roles.train, task.roles.report]
    files = [extract(model, source, "pooled", cache).open() for source in sources]
    features = torch.from_numpy(np.concatenate([np.asarray(f) for f in files]))
    targets = torch.from_numpy(np.concatenate([source.targets for source in sources]))
    if name == "scenes":
        features, targets = features[:MOST_SCENES], targets[:MOST_SCENES]
    vectors = torch.from_numpy(name_vectors(task.names)).double()
    return Data(name, LabelSet(task.names), features, targets, vectors)


def synthetic(alike: bool, images: int = 800, labels: int = 40, width: int = 200) -> Data:
    """Labels in eight groups, whose vectors say which group, or nothing."""
    rng = torch.Generator().manual_seed(1)
    group = torch.arange(labels) % 8
    centre = torch.randn(8, width, generator=rng)
    shared = 0.7**0.5 if alike else 0.0
    own = torch.randn(labels, width, generator=rng)
    weight = shared * centre[group] + (1 - shared**2) ** 0.5 * own
    features = torch.randn(images, width, generator=rng)
    noise = torch.randn(images, labels, generator=rng)
    score = features @ weight.T / width**0.5 + noise
    rate = torch.linspace(0.01, 0.15, labels)[torch.randperm(labels, generator=rng)]
    targets = (score > score.quantile(1 - rate, dim=0).diagonal()).float()
    vectors = torch.randn(8, 50, generator=rng)[group] + torch.randn(labels, 50, generator=rng) / 2
    names = LabelSet([f"label {i}" for i in range(labels)])
    return Data("alike" if alike else "unlike", names, features, targets, vectors.double())


def with_vectors(
    choice: SimilarityChoice, targets: Tensor, vectors: Tensor, penalty: float | None
) -> SimilarityChoice:
    """Labels without positives by other vectors or another rule, at the strength of a choice."""
    source = source_from_vectors("names", vectors)
    assert source.matrix is not None
    used = Used("names", choice.strength_unseen or 0.5, source.matrix, source.vectors)
    return assembled(targets, None, used, penalty)


def one_draw(data: Data, share: float, masked: float, seed: int) -> dict[str, Any]:
    """Chooses on one half, reports on the other."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.features), generator=generator)
    half = len(order) // 2
    rows, test = order[: int(share * len(order))], order[half:]
    features, targets = data.features[rows], data.targets[rows].clone()
    targets[:, torch.rand(len(data.labels), generator=generator) < masked] = -1
    began = time.process_time()
    sources = candidate_sources(data.labels, name_vectors=data.vectors)
    choice = choose_similarity(features, targets, sources, seed=seed)
    seconds = time.process_time() - began

    def points(made: SimilarityChoice | None) -> Tensor:
        start = (
            ridge_start(features, targets)
            if made is None
            else similarity_start(features, targets, made)
        )
        scores = data.features[test] @ start.weight.T + start.bias
        return 100 * average_precision(scores, data.targets[test])

    def mean(values: Tensor) -> float | None:
        there = values[~values.isnan()]
        return round(float(there.mean()), 4) if len(there) else None

    linear, chosen = points(None), points(choice)
    unseen = ~choice.seen
    found: dict[str, Any] = {
        "seen": mean((chosen - linear)[choice.seen]),
        "seen linear": mean(linear[choice.seen]),
        "source": choice.source,
        "strength": round(choice.strength, 4),
        "source_unseen": choice.source_unseen,
        "strength_unseen": round(choice.strength_unseen, 4),
        "rule": choice.rule,
        "seconds": round(seconds, 3),
        "exact": not choice.linear or bool(torch.equal(linear.nan_to_num(), chosen.nan_to_num())),
    }
    if masked:
        penalty = choice.map_penalty
        size = data.vectors.shape

        def control(vectors: Callable[[], Tensor]) -> Tensor:
            drawn = [
                points(with_vectors(choice, targets, vectors(), penalty)) for _ in range(CONTROLS)
            ]
            return torch.stack(drawn).mean(0)

        permuted = control(
            lambda: data.vectors[torch.randperm(len(data.vectors), generator=generator)]
        )
        random = control(lambda: torch.randn(size, generator=generator).double())
        found |= {
            "unseen": mean((chosen - linear)[unseen]),
            "unseen-permuted": mean((chosen - permuted)[unseen]),
            "unseen-random": mean((chosen - random)[unseen]),
        }
        for rule, by in (("neighbours", None), ("map", 1.0)):
            forced = points(with_vectors(choice, targets, data.vectors, by))
            found[rule] = mean((forced - permuted)[unseen])
    return found


def nothing_there(data: Data, draws: int) -> dict[str, float]:
    """The share of draws in which nothing is chosen, where there is nothing."""
    linear = {"shuffled names": 0, "permuted targets": 0}
    for seed in range(draws):
        generator = torch.Generator().manual_seed(1000 + seed)
        rows = torch.randperm(len(data.features), generator=generator)[: len(data.features) // 2]
        names = data.vectors[torch.randperm(len(data.labels), generator=generator)]
        alone = candidate_sources(
            data.labels, name_vectors=names, cooccurrence=False, learned=False
        )
        targets = data.targets[rows]
        choice = choose_similarity(data.features[rows], targets, alone, seed=seed)
        linear["shuffled names"] += choice.linear
        shuffled = torch.stack(
            [one[torch.randperm(len(rows), generator=generator)] for one in targets.T], 1
        )
        every = candidate_sources(data.labels, name_vectors=data.vectors)
        choice = choose_similarity(data.features[rows], shuffled, every, seed=seed)
        linear["permuted targets"] += choice.linear
    return {name: count / draws for name, count in linear.items()}


def summary(values: list[Any]) -> str:
    """Mean and its standard error."""
    numbers = np.array([v for v in values if v is not None])
    if not len(numbers):
        return "none"
    return f"{numbers.mean():+.2f} ± {numbers.std(ddof=1) / len(numbers) ** 0.5:.2f}"


def figures(drawn: list[dict[str, Any]]) -> dict[str, str]:
    """The summary of every figure of some draws."""
    return {
        key: summary([draw[key] for draw in drawn])
        for key in (
            "seen",
            "unseen",
            "unseen-permuted",
            "unseen-random",
            "neighbours",
            "map",
            "strength",
            "strength_unseen",
            "seconds",
        )
        if key in drawn[0]
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__)
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "features")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--null-draws", type=int, default=100)
    parser.add_argument("--output", type=Path, default=RESULTS / "similarity.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = [synthetic(True), synthetic(False)]
    for name in ("voc2007-part", "coco-part", "scenes"):
        if name == "scenes" or (given.root / name).is_dir():
            found.append(photographs(name, given.root, given.cache))
        else:
            print(f"{name}: not there, left out")
    rows: list[dict[str, Any]] = []
    for data in found:
        for circumstance, (share, masked) in CIRCUMSTANCES.items():
            drawn = [one_draw(data, share, masked, seed) for seed in range(given.draws)]
            rows.append({"data": data.name, "circumstance": circumstance, "draws": drawn})
            print(data.name, circumstance, figures(drawn), flush=True)
        words = given.root / "label-statistics" / WORDS.get(data.name, "none")
        if words.is_file():
            vectors = torch.from_numpy(load_vectors(words, data.labels)[0]).double()
            other = dataclasses.replace(data, vectors=vectors)
            drawn = [
                one_draw(other, *CIRCUMSTANCES["quarter"], seed) for seed in range(given.draws)
            ]
            rows.append({"data": data.name, "circumstance": "quarter, GloVe", "draws": drawn})
            print(data.name, "quarter, GloVe", figures(drawn), flush=True)
        null = nothing_there(data, given.null_draws)
        rows.append({"data": data.name, "circumstance": "nothing there", "linear": null})
        print(data.name, null, flush=True)
    write_json(
        given.output,
        {
            "draws": given.draws,
            "null_draws": given.null_draws,
            "rows": rows,
            "machine": environment(1),
        },
    )


if __name__ == "__main__":
    main()
