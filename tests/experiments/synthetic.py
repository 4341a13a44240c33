"""A tiny benchmark on made-up features: seconds, no images, no encoder."""

from pathlib import Path

import numpy as np
import torch

from gatlabel.data import ImageSource
from gatlabel.experiments.config import BenchmarkConfig
from gatlabel.experiments.frozen import FrozenBackend
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.preparation import FrozenData, SplitFeatures, Task
from gatlabel.experiments.splits import Roles
from gatlabel.features import FeatureFile
from gatlabel.labels import LabelSet
from gatlabel.nn.options import HEADS, HeadOptions
from gatlabel.training import TrainConfig

NAMES = ("fork", "knife", "table", "cow", "grass", "car")
WIDTH = 8
QUICK = FitOptions(epochs=2, least_steps=12, batch_size=16)


class NoImages(ImageSource):
    """Targets alone."""

    def load(self, index: int) -> torch.Tensor:
        raise AssertionError("frozen runs need no images")

    def subset(self, indices):
        rows = np.asarray(indices, dtype=np.int64)
        return NoImages(self.labels, [self.ids[row] for row in rows], self.targets.take(rows))


def targets_of(rng: np.random.Generator, count: int) -> np.ndarray:
    """Labels that occur together: fork with knife, cow with grass."""
    base = rng.random((count, len(NAMES))) < [0.3, 0.1, 0.4, 0.25, 0.1, 0.3]
    base[:, 1] |= base[:, 0] & (rng.random(count) < 0.7)
    base[:, 4] |= base[:, 3] & (rng.random(count) < 0.7)
    return base.astype(np.float32)


def split(folder: Path, name: str, count: int, seed: int) -> SplitFeatures:
    rng = np.random.default_rng([seed, len(name)])
    targets = targets_of(rng, count)
    directions = np.random.default_rng(99).normal(size=(len(NAMES), WIDTH))
    pooled = (targets @ directions + rng.normal(0, 1.5, (count, WIDTH))).astype(np.float32)
    maps = pooled[:, :, None, None] + rng.normal(0, 1, (count, WIDTH, 2, 2))
    np.save(folder / f"{name}.npy", pooled)
    np.save(folder / f"{name}-map.npy", maps.astype(np.float16))
    files = {
        "pooled": FeatureFile(folder / f"{name}.npy"),
        "map": FeatureFile(folder / f"{name}-map.npy"),
    }
    return SplitFeatures(targets, files)


def benchmark(folder: Path, *, tune: bool = True) -> tuple[Task, FrozenBackend]:
    folder.mkdir(parents=True, exist_ok=True)
    train, report = split(folder, "train", 80, 1), split(folder, "report", 60, 2)
    tuning = split(folder, "tune", 40, 3) if tune else None
    sources = {
        name: NoImages(LabelSet(NAMES), [f"{name}-{k}" for k in range(len(s.targets))], s.targets)
        for name, s in {"train": train, "report": report, "tune": tuning}.items()
        if s is not None
    }
    roles = Roles(sources["train"], sources.get("tune"), sources["report"], "test", "made up")
    data = FrozenData(NAMES, train, tuning, report)
    return Task("made up", NAMES, roles, ()), FrozenBackend(data, train_config(), SMALL, QUICK)


def train_config() -> TrainConfig:
    return TrainConfig()


#: Small heads, by name.
SMALL: dict[str, HeadOptions] = {
    name: kind(**{n: v for n, v in {"hidden": 8, "heads": 2}.items() if hasattr(kind, n)})
    for name, kind in HEADS.items()
}


def config(output: Path, **options) -> BenchmarkConfig:
    given = {
        "graphs": ("conditional:top_k=1", "complete"),
        "seeds": 2,
        "trials": 2,
        "tuning_seeds": 1,
        "workers": 1,
        "progress": False,
        "train": train_config(),
        "output": output,
        **options,
    }
    return BenchmarkConfig(**given)
