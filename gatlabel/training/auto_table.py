"""The table of the recipe ``auto``: choices by number of images, preset and time.

It is explained in docs/training.md; docs/studies/auto.md has the measurements.
"""

from __future__ import annotations

from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm

from gatlabel.data import DataSplits
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.options import NOTHING, SharedClassifiers
from gatlabel.training.clock import Clock
from gatlabel.training.config import TrainConfig
from gatlabel.training.options import Auto
from gatlabel.training.starting import Start, seconds_per_image

#: Image sizes to try, relative to the encoder's own: 160, 224, 288 and so on for 224.
SIZES = {
    "fast": (5 / 7,),
    "good": (5 / 7, 1.0, 9 / 7, 11 / 7),
    "best": (5 / 7, 1.0, 9 / 7, 11 / 7, 13 / 7, 16 / 7),
}
#: Minimum number of training images for training the encoder. Measured: with 508 images six epochs
#: changed nothing beyond chance (docs/studies/auto.md). The bounds themselves are judgements.
FINE_TUNED_FROM = {"fast": None, "good": 1000, "best": 200}
FEW_IMAGES = 2000  # below: batch norms keep their statistics, and augmentation is light
#: Epochs if the encoder is trained: maximum, minimum, and total number of images in all epochs.
EPOCHS = {"fast": (6, 2, 6_000), "good": (12, 3, 40_000), "best": (24, 6, 120_000)}
#: Duration of a forward and backward step, relative to a forward step.
STEP_COST = 3.5
LR_FROM_START = 3e-4
ENCODER_LR_FROM_START = 0.5


def preset_of(config: TrainConfig) -> str:
    """Returns the preset of the recipe auto; other recipes have none."""
    return config.recipe.preset if isinstance(config.recipe, Auto) else "good"


def sizes_of(model: MultiLabelClassifier, config: TrainConfig) -> tuple[int, ...]:
    """Returns the image sizes to try: multiples of 32 that the encoder accepts."""
    own = model.encoder.image_size
    shares = SIZES[preset_of(config)]
    sizes = dict.fromkeys(max(32, round(own * share / 32) * 32) for share in shares)
    taken = []
    for size in sizes:
        try:
            model.encoder.require_size(size)
        except InputError:
            continue
        taken.append(size)
    return tuple(taken) or (own,)


def choices(
    config: TrainConfig,
    splits: DataSplits,
    model: MultiLabelClassifier,
    start: Start | None,
    clock: Clock,
) -> dict[str, Any]:
    """Returns the table's choice for every option that can be unset, by dotted names."""
    scenes = config.data.name == "scenes"
    few = len(splits.train) < FEW_IMAGES and not scenes
    epochs = config.run.epochs
    if epochs is None:
        images = len(splits.train), len(splits.val)
        epochs = epochs_of(config, images, model, start, clock)
    frozen = config.encoder.freeze == "encoder" or (config.encoder.freeze is None and epochs == 0)
    found: dict[str, Any] = {
        "run.epochs": epochs,
        "encoder.freeze": "encoder" if frozen else "norms" if few and _has_norms(model) else "none",
        "images.augmentation": "none" if epochs == 0 else "light" if few else "standard",
        "optimizer.lr": 3e-3,
        "optimizer.encoder_lr": 1.0 if scenes else 0.1,
        "run.keep": "last",
    }
    if isinstance(config.head, SharedClassifiers):
        found["head.similarity"] = NOTHING
    if start is not None and epochs:
        found["run.keep"] = "proven"
        if not scenes:
            found["optimizer.lr"] = LR_FROM_START
            found["optimizer.encoder_lr"] = ENCODER_LR_FROM_START
    return found


def epochs_of(
    config: TrainConfig,
    images: tuple[int, int],
    model: MultiLabelClassifier,
    start: Start | None,
    clock: Clock,
) -> int:
    """Returns the number of epochs, by the table and the remaining time.

    Args:
        config: The options.
        images: Numbers of training and validation images.
        model: The model.
        start: Its closed-form initialisation, if it has one.
        clock: The clock with the time limit.
    """
    train, val = images
    scenes = config.data.name == "scenes"
    most, least, in_all = EPOCHS[preset_of(config)]
    table = 4 if scenes else min(most, max(least, round(in_all / train)))
    if start is None:
        return table
    from_images = FINE_TUNED_FROM[preset_of(config)]
    if config.encoder.freeze == "encoder":
        return 0
    if not scenes and (from_images is None or train < from_images):
        return 0
    if clock.limit is None:
        return table
    each = seconds_per_image(model, config) * (STEP_COST * train + val)
    possible = int(min(clock.left / each, table))
    return possible if possible >= min(least, table) else 0


def _has_norms(model: MultiLabelClassifier) -> bool:
    return any(isinstance(part, _BatchNorm) for part in model.encoder.modules())
