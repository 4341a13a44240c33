"""Preparation of frozen runs: from a data set to features on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.data import DataSplits, ImageSource
from gatlabel.devices import choose_device
from gatlabel.experiments.config import BenchmarkConfig
from gatlabel.experiments.splits import Roles, roles
from gatlabel.features import FeatureFile, Kind, extract
from gatlabel.graph import Cooccurrence
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS
from gatlabel.printing import console
from gatlabel.training.building import build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import read_data


@dataclass(frozen=True)
class SplitFeatures:
    """One split: its targets, and the files of its features.

    Attributes:
        targets: float32 ``(N, L)``.
        files: Files by kind: ``pooled`` and, if a head needs it, ``map``.
        groups: The group of each image, or ``None``.
    """

    targets: NDArray[np.float32]
    files: dict[Kind, FeatureFile]
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FrozenData:
    """Features and targets of all splits.

    Attributes:
        names: The L labels.
        train: Training split.
        tune: Tuning split; ``None`` if it is taken from train.
        report: Reported split.
    """

    names: tuple[str, ...]
    train: SplitFeatures
    tune: SplitFeatures | None
    report: SplitFeatures


@dataclass(frozen=True)
class Task:
    """The data set of a benchmark, without features.

    Attributes:
        name: Name of the data set.
        names: The L labels.
        roles: The role of each split.
        notes: Notes of the reader.
    """

    name: str
    names: tuple[str, ...]
    roles: Roles
    notes: tuple[str, ...]


def read_task(config: TrainConfig) -> Task:
    """Reads the data set and assigns roles to its splits."""
    splits: DataSplits = read_data(config)
    return Task(splits.name, tuple(splits.labels), roles(splits), splits.notes)


def prepare(config: BenchmarkConfig, task: Task, log: Log) -> FrozenData:
    """Creates the encoder and extracts the features that the heads need.

    Raises:
        InputError: If the encoder cannot be created or an image cannot be decoded.
    """
    kinds: list[Kind] = ["pooled"]
    if any(HEADS[head].needs_map for head in config.head_options):
        kinds.append("map")
    model = frozen_model(config, task, log).to(choose_device(config.train.run.device))
    sources: dict[str, ImageSource] = {"train": task.roles.train, "report": task.roles.report}
    if task.roles.tune is not None:
        sources["tune"] = task.roles.tune
    images = sum(map(len, sources.values()))
    log(f"features of {images} images: {model.encoder.name}, {model.image_size} pixels")
    parts = {}
    with progress_bar("features", images * len(kinds), config.progress) as advance:
        for name, source in sources.items():
            files = {
                k: extract(model, source, k, config.train.images.cache_folder, advance)
                for k in kinds
            }
            parts[name] = SplitFeatures(np.asarray(source.targets), files, source.groups)
    return FrozenData(task.names, parts["train"], parts.get("tune"), parts["report"])


def frozen_model(config: BenchmarkConfig, task: Task, log: Log) -> MultiLabelClassifier:
    """Returns encoder and pooling; for scenes, the encoder is pretrained on separate scenes."""
    train = config.train.resolved()
    if train.data.name == "scenes":
        from gatlabel.experiments.scene_encoder import scene_encoder

        train = train.with_options({"run.progress": config.progress})
        return scene_encoder(
            train,
            config.pretrain_images,
            config.pretrain_epochs,
            config.train.images.cache_folder,
            log,
        )
    if train.encoder.weights in (None, "none"):
        hint = train.encoder.lite_hint
        log(f"note: a frozen encoder with random weights{hint and f'; {hint}'}")
    counts = Cooccurrence.from_targets(task.roles.train.targets, task.names)
    return build_model(train.with_options({"head": "linear"}), counts.graph("identity")).eval()


@contextmanager
def progress_bar(title: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on standard error; yields the function that advances it."""
    if not shown:
        yield lambda count: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda count: progress.advance(bar, count)
