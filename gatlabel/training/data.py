"""From options to splits, data sets and loaders."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from gatlabel import data
from gatlabel.batch import Item
from gatlabel.data import DataSplits, ImageDataset, ImageSource
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.building import check_batches
from gatlabel.training.config import TrainConfig

MOST_WORKERS = 64  # on any machine: slow, but they start
CACHE_LIMIT = 2 * 2**30  # bytes of decoded pictures that `cache: auto` keeps in memory


def read_data(config: TrainConfig, *, evaluate_only: bool = False) -> DataSplits:
    """Reads the data set that the options name, and checks that its pictures can be decoded.

    Args:
        config: The options.
        evaluate_only: Splits other than the one to evaluate need not be there.

    Raises:
        InputError: If a file, column or label is wrong, or a split is empty.
    """
    _refuse_what_does_not_apply(config)
    if config.data == "scenes":
        from gatlabel.data.scenes import read_scenes

        scenes = read_scenes(
            config.scene_preset,
            train=config.train_pictures,
            val=config.test_pictures,
            test=config.test_pictures,
            seed=config.seed,
            **scene_options(config),
        )
        return _masked(scenes, config)
    options: dict[str, Any] = {
        "seed": config.seed,
        "on_error": config.on_error,
        "evaluate_only": evaluate_only,
        **_reader_options(config),
    }
    splits = data.READERS[config.data](config.root, **options)
    checked = data.check_splits(splits, config.on_error, max_pixels=config.max_pixels)
    return _masked(checked, config)


def scene_options(config: TrainConfig) -> dict[str, Any]:
    """Returns what the config changes of the preset of scenes, by the names of SceneConfig."""
    named = {name: getattr(config, f"scene_{name}") for name in SCENE_OPTIONS}
    return {name: value for name, value in named.items() if value is not None}


def _masked(splits: DataSplits, config: TrainConfig) -> DataSplits:
    """Corrupts and masks training labels where the options ask for it, and notes that."""
    targets, notes = splits.train.targets, list(splits.notes)
    if config.label_noise:
        targets = targets.corrupt(config.label_noise, config.seed)
        notes.append(
            f"{config.label_noise:.0%} of each label's training positives were moved to negatives"
        )
    if config.hide_labels:
        targets = targets.mask(config.hide_labels, config.seed)
        what = (
            "training labels were masked but for one present label per image"
            if config.hide_labels == "single"
            else f"{config.hide_labels:.0%} of the known training labels were masked"
        )
        notes.append(f"{what} (seed {config.seed}); the label graph is counted on what is left")
    if targets is splits.train.targets:
        return splits
    train = splits.train.with_targets(targets)
    return dataclasses.replace(splits, train=train, notes=tuple(notes))


SET_OPTIONS = ("train_set", "val_set", "test_set")
# What a reader calls these.
_SETS = {
    "voc": ("train", "val", "test"),
    "coco": ("train", "val", "test"),
    "json": ("file", "val_file", "test_file"),
}


def _reader_options(config: TrainConfig) -> dict[str, Any]:
    """Returns the options of the reader that the config sets, by the reader's names."""
    options: dict[str, Any] = {}
    for name, kinds in ONLY_FOR.items():
        value = getattr(config, name)
        if name == "root" or config.data not in kinds or value is None:
            continue
        if name in SET_OPTIONS:
            name = _SETS[config.data][SET_OPTIONS.index(name)]
        options["file" if name == "annotations" else name] = value
    if config.split_column is None and config.data == "csv":
        options["split_column"] = None
    if config.data == "voc" and config.val_set == "no":
        options["val"] = None
    if config.data == "json" and config.annotations is not None and config.train_set is not None:
        raise InputError("annotations and train_set both name the json list to train on: give one")
    return options


SCENE_OPTIONS = ("size", "hidden", "difficulty", "strength", "long_tail")
# Options that some kinds of data have, and which kinds these are.
ONLY_FOR = {
    "root": ("csv", "voc", "coco", "json"),
    "annotations": ("csv", "json"),
    "classes": ("csv", "voc", "json"),
    "difficult": ("csv", "voc"),
    "year": ("voc", "coco"),
    "download": ("voc", "coco"),
    "image_column": ("csv",),
    "label_column": ("csv",),
    "separator": ("csv",),
    "split_column": ("csv",),
    "group_column": ("csv", "json"),
    "label_columns": ("csv",),
    "delimiter": ("csv",),
    "unknown_column": ("csv",),
    "difficult_column": ("csv",),
    "minus_one": ("csv", "json"),
    "train_set": ("voc", "coco", "json"),
    "val_set": ("voc", "coco", "json"),
    "test_set": ("voc", "coco", "json"),
    "images": ("coco", "json"),
    "crowd": ("coco",),
    "drop_empty": ("coco",),
    **{f"scene_{name}": ("scenes",) for name in SCENE_OPTIONS},
    "fractions": ("csv", "voc", "coco", "json"),
}


def _refuse_what_does_not_apply(config: TrainConfig) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    for name, kinds in ONLY_FOR.items():
        if config.data not in kinds and getattr(config, name) != defaults[name]:
            raise InputError(
                f"{name}={getattr(config, name)}: not for data={config.data}, only for "
                f"{', '.join(kinds)}"
            )


def loaders(
    splits: DataSplits, model: MultiLabelClassifier, config: TrainConfig
) -> tuple[DataLoader[Item], DataLoader[Item]]:
    """Builds the loaders of training and validation pictures.

    Raises:
        InputError: If the model cannot learn from batches of this size, or the machine cannot carry
            so many workers.
    """
    check_batches(model, config, len(splits.train))
    workers = default_workers() if config.workers is None else checked_workers(config.workers)
    augmentation = data.training_transform(
        model.image_size, config.augmentation or "none", config.resize
    )
    whole = model.preprocessing.transform()
    sources = (splits.train, splits.val)
    cache = _cache(config, sources, model.image_size)
    train = ImageDataset(splits.train, augmentation, cache=cache, folder=config.cache_folder)
    val = ImageDataset(splits.val, whole, cache=cache, folder=config.cache_folder)
    return (
        data.loader(train, config.batch_size, train=True, workers=workers, seed=config.seed),
        data.loader(val, 2 * config.batch_size, train=False, workers=workers),
    )


def default_workers() -> int:
    """Processes that load pictures: none on a CPU run, whose cores training itself fills."""
    return min(8, (os.cpu_count() or 2) - 1) if torch.cuda.is_available() else 0


def usable_cores() -> int:
    """Returns the number of cores that this process may use, which can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checked_workers(workers: int) -> int:
    """Returns a number of processes that load pictures, if this machine can carry them.

    Each is a copy of this process; thousands would take minutes to start, and all its memory.

    Raises:
        InputError: If there are too many.
    """
    cores = usable_cores()
    most = max(MOST_WORKERS, 4 * cores)
    if workers > most:
        raise InputError(
            f"workers={workers}: this machine has {cores} usable cores; give at most {most}"
        )
    return workers


def _cache(
    config: TrainConfig, sources: Sequence[ImageSource], side: int
) -> Literal["memory", "disk", "none"]:
    if config.cache != "auto":
        return config.cache
    pictures = sum(len(source) for source in sources)
    # pictures are kept somewhat larger than they are used, for crops
    return "memory" if pictures * 3 * (2 * side) ** 2 <= CACHE_LIMIT else "none"
