"""The recipe ``auto``: what data, time and machine decide, in one table and one measurement.

The table is in docs/training.md, with the measurements that it stands on in docs/studies/auto.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from gatlabel.baselines.similarity import similarity_start
from gatlabel.baselines.similarity.edges import share_as_chosen, similarity_graph
from gatlabel.data import DataSplits
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.heads.kin import SharesWithKin
from gatlabel.training.building import build_model
from gatlabel.training.checkpoints import Log
from gatlabel.training.clock import Clock
from gatlabel.training.config import TrainConfig
from gatlabel.training.similarity import choose, is_worth_its_graph, may_share, text_of
from gatlabel.training.similarity_text import NOTHING
from gatlabel.training.starting import (
    Start,
    features,
    seconds_per_image,
    start_in_closed_form,
    validation_map,
)

#: Sides of images to try, as shares of the encoder's own: 160, 224, 288 and so on for 224.
SIZES = {
    "fast": (5 / 7,),
    "good": (5 / 7, 1.0, 9 / 7, 11 / 7),
    "best": (5 / 7, 1.0, 9 / 7, 11 / 7, 13 / 7, 16 / 7),
}
#: Training images from which the encoder learns too; below, frozen features are as good.
FINE_TUNED_FROM = {"fast": None, "good": 1000, "best": 200}
FEW_IMAGES = 2000  # batch norms keep their statistics, and augmentation is light
#: Passes over the images where the encoder learns: at most, at least, and images in all of them.
EPOCHS = {"fast": (6, 2, 6_000), "good": (12, 3, 40_000), "best": (24, 6, 120_000)}
#: A step forwards and backwards takes about as long as so many steps forwards.
STEP_COST = 3.5
LR_FROM_START = 3e-4
ENCODER_LR_FROM_START = 0.5


def plan(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    counts: Cooccurrence,
    clock: Clock,
    log: Log,
) -> tuple[MultiLabelClassifier, TrainConfig, Start | None]:
    """Decides what the options leave open, and starts the head.

    Args:
        model: The model as it was built; its head starts, and the size of its images is set.
        config: The options; those that are not ``None`` stay as they are.
        splits: The data.
        completion: Gives the targets of unknown training labels.
        counts: Label counts of the training images.
        clock: Says what time is left.
        log: Called with what was measured and decided, a line each.

    Returns:
        The model (another one where similar labels share classifiers), the options, none left
        open, and the start of the head, if it starts in closed form.

    Raises:
        InputError: If no epochs are to be trained and the head has no start in closed form.
    """
    if config.epochs == 0 and (config.start == "random" or not model.head.starts_linear):
        raise InputError(
            "epochs=0: only for a start in closed form (start=ridge, or the recipe auto with a "
            "head that starts as a linear classifier)"
        )
    auto = config.recipe == "auto"
    begins = config.start or _start(model, config)
    start = None
    if begins == "ridge":
        sizes = _sizes(model, config) if auto and config.image_size is None else ()
        start = start_in_closed_form(
            model, config, splits, completion, log, sizes=sizes, clock=clock
        )
    if start is not None and config.similarity != NOTHING:
        model, text = _with_similarity(model, config, splits, completion, counts, log)
        config = dataclasses.replace(config, similarity=text)
    if not auto:
        return model, config, start
    chosen = _choices(config, len(splits.train), len(splits.val), model, start, clock)
    chosen |= {"start": begins, "image_size": model.image_size}
    left_open = {name: v for name, v in chosen.items() if getattr(config, name) is None}
    if left_open:
        listed = ", ".join(f"{name}={value}" for name, value in left_open.items())
        log(f"auto ({config.preset}): {listed}")
    return model, dataclasses.replace(config, **left_open), start


def _with_similarity(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    counts: Cooccurrence,
    log: Log,
) -> tuple[MultiLabelClassifier, str]:
    """Lets similar labels share classifiers where that is found to help.

    Returns:
        The model, of which the head is another if labels share, and the choice as text.
    """
    if not may_share(config, model.head):
        return model, NOTHING
    found = features(model, splits.train, config)
    targets = torch.from_numpy(splits.train.targets)
    choice = choose(config, found, targets, counts, log)
    if choice.linear:
        return model, NOTHING
    if not is_worth_its_graph(choice):
        log("sharing would give too little to take the place of the co-occurrence graph")
        return model, NOTHING
    shared = build_model(config, similarity_graph(choice, counts.labels, counts), config.head)
    shared.encoder.load_state_dict(model.encoder.state_dict())
    shared.pool.load_state_dict(model.pool.state_dict())
    shared.image_size = model.image_size
    assert isinstance(shared.head, SharesWithKin)
    share_as_chosen(shared.head, choice)
    start = similarity_start(found, targets if completion is None else completion.targets, choice)
    shared.head.start_linear(start.weight, start.bias)
    figure = validation_map(start, features(model, splits.val, config), splits.val)
    log(f"with similar labels sharing: val mAP {figure:.4f}")
    return shared, text_of(choice)


def _start(model: MultiLabelClassifier, config: TrainConfig) -> str:
    """Ridge regression, where the head starts as linear and the features say something."""
    learned = config.weights not in (None, "none") or config.freeze == "encoder"
    return "ridge" if model.head.starts_linear and config.init is None and learned else "random"


def _sizes(model: MultiLabelClassifier, config: TrainConfig) -> tuple[int, ...]:
    """Sides of images to try, multiples of 32 that the encoder takes."""
    own = model.encoder.image_size
    sizes = dict.fromkeys(max(32, round(own * share / 32) * 32) for share in SIZES[config.preset])
    taken = []
    for size in sizes:
        try:
            model.encoder.require_size(size)
        except InputError:
            continue
        taken.append(size)
    return tuple(taken) or (own,)


def _choices(
    config: TrainConfig,
    train: int,
    val: int,
    model: MultiLabelClassifier,
    start: Start | None,
    clock: Clock,
) -> dict[str, Any]:
    """Returns what the table says of every option that can be left open."""
    scenes = config.data == "scenes"
    few = train < FEW_IMAGES and not scenes
    epochs = config.epochs
    if epochs is None:
        epochs = _epochs(config, train, val, model, start, clock)
    frozen = config.freeze == "encoder" or (config.freeze is None and epochs == 0)
    found: dict[str, Any] = {
        "epochs": epochs,
        "freeze": "encoder" if frozen else "norms" if few and _has_norms(model) else "none",
        "augmentation": "none" if epochs == 0 else "light" if few else "standard",
        "lr": 3e-3,
        "encoder_lr": 1.0 if scenes else 0.1,
        "keep": "last",
        "similarity": NOTHING,
    }
    if start is not None and epochs:
        found["keep"] = "proven"
        if not scenes:
            found |= {"lr": LR_FROM_START, "encoder_lr": ENCODER_LR_FROM_START}
    return found


def _epochs(
    config: TrainConfig,
    train: int,
    val: int,
    model: MultiLabelClassifier,
    start: Start | None,
    clock: Clock,
) -> int:
    """How often training images are passed: by the table, and by the time that is left."""
    scenes = config.data == "scenes"
    most, least, images = EPOCHS[config.preset]
    table = 4 if scenes else min(most, max(least, round(images / train)))
    if start is None:
        return table
    from_images = FINE_TUNED_FROM[config.preset]
    if config.freeze == "encoder":
        return 0
    if not scenes and (from_images is None or train < from_images):
        return 0
    if clock.limit is None:
        return table
    each = seconds_per_image(model, config) * (STEP_COST * train + val)
    possible = int(min(clock.left / each, table))
    return possible if possible >= min(least, table) else 0


def _has_norms(model: MultiLabelClassifier) -> bool:
    from torch.nn.modules.batchnorm import _BatchNorm

    return any(isinstance(part, _BatchNorm) for part in model.encoder.modules())
