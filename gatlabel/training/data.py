"""Creation of splits, data sets and loaders from options."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Literal

import torch
from torch.utils.data import DataLoader

from gatlabel import data
from gatlabel.batch import Item
from gatlabel.data import DataSplits, ImageDataset, ImageSource
from gatlabel.data.options import FileOptions, Scenes
from gatlabel.errors import InputError
from gatlabel.missing.options import MissingOptions
from gatlabel.model import MultiLabelClassifier
from gatlabel.targets import Targets
from gatlabel.training.building import check_batches
from gatlabel.training.config import TrainConfig

MOST_WORKERS = 64  # accepted on any machine, however slow
CACHE_LIMIT = 2 * 2**30  # maximum bytes of decoded images that `cache: auto` keeps in memory


def read_data(config: TrainConfig, *, evaluate_only: bool = False) -> DataSplits:
    """Reads the data set that the options name, and checks that its images can be decoded.

    Args:
        config: The options.
        evaluate_only: Whether splits other than the one to evaluate may be missing.

    Raises:
        InputError: If a file, column or label is wrong, or a split is empty.
    """
    given, seed = config.data, config.run.seed
    if isinstance(given, Scenes):
        from gatlabel.data.scenes import read_scenes

        scenes = read_scenes(
            given.preset,
            train=given.train_images,
            val=given.test_images,
            test=given.test_images,
            seed=seed,
            **given.overrides(),
        )
        return _with_unlabelled(masked(scenes, config), config, evaluate_only)
    if not isinstance(given, FileOptions):
        raise InputError(
            f"data={given.name}: the data set is a Python object: pass it again, as in "
            "gatlabel.training.train(config, data=…)"
        )
    splits = data.READERS[given.name](
        given.root,
        seed=seed,
        on_error=given.on_error,
        evaluate_only=evaluate_only,
        **given.arguments(),
    )
    checked = data.check_splits(splits, given.on_error, max_pixels=given.max_pixels)
    return _with_unlabelled(masked(checked, config), config, evaluate_only)


def masked(splits: DataSplits, config: TrainConfig) -> DataSplits:
    """Corrupts and masks training labels according to the options, and adds notes about it.

    Args:
        splits: The data as read.
        config: The options.

    Raises:
        InputError: If no training target is known, and no teacher gives any.
    """
    given, teacher = splits.train.targets, config.distillation.teacher
    if len(given) and teacher is None and not given.counts().known.any():
        raise InputError(
            f"no label is known for any of the {len(given)} training images: there is nothing to "
            "learn from"
        )
    targets, notes = masked_targets(splits.train.targets, config.missing, config.run.seed)
    if targets is splits.train.targets:
        return splits
    train = splits.train.with_targets(targets)
    return dataclasses.replace(splits, train=train, notes=(*splits.notes, *notes))


def masked_targets(
    targets: Targets, missing: MissingOptions, seed: int
) -> tuple[Targets, list[str]]:
    """Corrupts and masks training targets where the options ask for it.

    Returns:
        The targets, and a sentence on each change.
    """
    notes = []
    if missing.label_noise:
        targets = targets.corrupt(missing.label_noise, seed)
        notes.append(
            f"{missing.label_noise:.0%} of each label's training positives were swapped with "
            "negatives"
        )
    if missing.mask_labels:
        targets = targets.mask(missing.mask_labels, seed)
        what = (
            "all training labels but one present label per image were masked"
            if missing.mask_labels == "single"
            else f"{missing.mask_labels:.0%} of the known training labels were masked"
        )
        notes.append(f"{what} (seed {seed}); the label graph is counted on the remaining labels")
    return targets, notes


def _with_unlabelled(splits: DataSplits, config: TrainConfig, evaluate_only: bool) -> DataSplits:
    """Adds the images of a folder to the training split, with all labels unknown."""
    folder = config.missing.unlabelled
    if folder is None or evaluate_only:
        return splits
    used = [
        os.path.join(source.root, name)  # noqa: PTH118 - an absolute name stands for itself
        for _, source in splits.items()
        if isinstance(source, data.FileImages)
        for name in source.ids
    ]
    further = data.unlabelled_images(folder, splits.labels, without=used)
    checked, notes = data.check_images(further, "skip")
    train = data.JoinedImages([splits.train, checked])
    note = f"{len(checked)} images without labels from {folder} are also used for training"
    return dataclasses.replace(splits, train=train, notes=(*splits.notes, *notes, note))


def loaders(
    splits: DataSplits, model: MultiLabelClassifier, config: TrainConfig
) -> tuple[DataLoader[Item], DataLoader[Item]]:
    """Builds the loaders of training and validation images.

    Raises:
        InputError: As :func:`training_loader`.
    """
    sources = (splits.train, splits.val)
    val = ImageDataset(
        splits.val,
        model.preprocessing.transform(),
        cache=cache_for(config.images.cache, sources, model.image_size),
        folder=config.images.cache_folder,
    )
    train = training_loader(splits.train, model, config, beside=[splits.val])
    size = 2 * config.run.images_per_step
    return train, data.loader(val, size, train=False, workers=train.num_workers)


def training_loader(
    source: ImageSource,
    model: MultiLabelClassifier,
    config: TrainConfig,
    *,
    beside: Sequence[ImageSource] = (),
) -> DataLoader[Item]:
    """Builds the loader of training images.

    Args:
        source: The images.
        model: Its preprocessing is used.
        config: The options of the run.
        beside: Other images that are to fit into the memory for decoded images too.

    Raises:
        InputError: If the model cannot be trained in batches of this size, or there are too many
            workers for this machine.
    """
    check_batches(model, config, len(source))
    workers = config.run.workers
    workers = default_workers() if workers is None else checked_workers(workers)
    augmentation = data.training_transform(
        model.image_size, config.images.augmentation or "none", config.images.resize
    )
    cache = cache_for(config.images.cache, (source, *beside), model.image_size)
    dataset = ImageDataset(source, augmentation, cache=cache, folder=config.images.cache_folder)
    size, seed = config.run.images_per_step, config.run.seed
    return data.loader(dataset, size, train=True, workers=workers, seed=seed)


def default_workers() -> int:
    """Returns the number of loading processes: 0 on a CPU, whose cores training itself uses."""
    return min(8, (os.cpu_count() or 2) - 1) if torch.cuda.is_available() else 0


def usable_cores() -> int:
    """Returns the number of cores that this process may use, which can be fewer than all."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checked_workers(workers: int) -> int:
    """Checks the number of loading processes against the cores of this machine, and returns it.

    Each is a copy of this process; thousands would take minutes to start and all memory.

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


def cache_for(
    given: Literal["auto", "memory", "disk", "none"], sources: Sequence[ImageSource], side: int
) -> Literal["memory", "disk", "none"]:
    """Returns where decoded images are cached: in memory, if the option is unset and they fit.

    Args:
        given: The option.
        sources: The images.
        side: Image size of the model.
    """
    if given != "auto":
        return given
    images = sum(len(source) for source in sources)
    # cached images are somewhat larger than the model's input, for random crops
    return "memory" if images * 3 * (2 * side) ** 2 <= CACHE_LIMIT else "none"
