"""The table of the recipe ``auto``: choices by number of images, preset and time.

It is explained in docs/training.md; docs/studies/auto.md has the measurements.
"""

from __future__ import annotations

from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm

from gatlabel.data import DataSplits
from gatlabel.encoders.encoder import OWN_MODULE
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.options import NOTHING, SharedClassifiers
from gatlabel.training.budget import Budget, preset_of
from gatlabel.training.config import TrainConfig
from gatlabel.training.options import BATCH_SIZE
from gatlabel.training.starting import Start

#: Image sizes to try, relative to the encoder's own: 160, 224, 288 and so on for 224.
SIZES = {
    "fast": (5 / 7,),
    "good": (5 / 7, 1.0, 9 / 7, 11 / 7),
    "best": (5 / 7, 1.0, 9 / 7, 11 / 7, 13 / 7, 16 / 7),
}
#: Below: augmentation is light, and batch norms keep their statistics if these were learned. They
#: do so for any number of images with uninformative features (docs/studies/auto.md).
FEW_IMAGES = 2000
#: Rate of the head and factor for the encoder of a model with a closed-form initialisation.
FROM_START = {"optimizer.lr": 1e-4, "optimizer.encoder_lr": 0.3}
#: Rate of the head if the encoder is frozen.
FROZEN_FROM_START = {"optimizer.lr": 3e-4}
#: Rates, and images per step, if the features of the initialisation are uninformative.
UNLIKE_FROM_START = {"run.batch_size": 8, "optimizer.lr": 1e-3, "optimizer.encoder_lr": 0.3}
#: Epochs, or images, from which augmentation is standard then. Measured: 3 epochs of 500 scenes
#: lose by it, of 1,000 and 3,000 gain, and 8 and 12 epochs of 100 gain (docs/studies/auto.md).
AUGMENTED_FROM, AUGMENTED_FROM_IMAGES = 8, 1000


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
    budget: Budget,
) -> dict[str, Any]:
    """Returns the table's choice for every option that can be unset, by dotted names."""
    scenes = config.data.name == "scenes"
    images = len(splits.train)
    epochs = config.run.epochs
    if epochs is None:
        epochs = budget.epochs(model, start)
    frozen = config.encoder.freeze == "encoder" or (config.encoder.freeze is None and epochs == 0)
    unlike = start is not None and not start.informative and epochs > 0 and not frozen
    few = images < FEW_IMAGES and not scenes
    norms = (few or (unlike and not scenes)) and _has_norms(model) and _has_learned(config)
    found: dict[str, Any] = {
        "run.epochs": epochs,
        "encoder.stages": model.encoder.stages,
        "encoder.freeze": "encoder" if frozen else "norms" if norms else "none",
        "images.augmentation": "none" if epochs == 0 else "light" if few else "standard",
        "run.batch_size": BATCH_SIZE,
        "optimizer.lr": 3e-3,
        "optimizer.encoder_lr": 1.0 if scenes else 0.1,
        "run.keep": "last",
        "run.refit": unlike,
    }
    if isinstance(config.head, SharedClassifiers):
        found["head.similarity"] = NOTHING
    if start is None or not epochs:
        return found
    # on uninformative features training gained in 24 of 25 runs (docs/studies/auto.md)
    found["run.keep"] = "unless-worse" if unlike else "proven"
    if scenes:
        return found
    found |= FROZEN_FROM_START if frozen else UNLIKE_FROM_START if unlike else FROM_START
    if unlike and (epochs >= AUGMENTED_FROM or images >= AUGMENTED_FROM_IMAGES):
        found["images.augmentation"] = "standard"
    if config.run.devices != 1:
        found["run.batch_size"] = BATCH_SIZE
    return found


def _has_learned(config: TrainConfig) -> bool:
    """Whether the encoder's weights, and so the statistics of its norms, are of some images."""
    return not config.encoder.starts_random or config.encoder.backbone == OWN_MODULE


def _has_norms(model: MultiLabelClassifier) -> bool:
    return any(isinstance(part, _BatchNorm) for part in model.encoder.modules())
