"""Values of unset options, which depend on data and machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatlabel.data.options import SCENE_SIZE, Scenes
from gatlabel.encoders.options import LITE, WITHOUT_LITE, lite_is_installed
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.nn import HEADS, LinearHead
from gatlabel.nn.options import NOTHING, LinearStart, SharedClassifiers
from gatlabel.training.parts import TrainParts


def choices_of(config: TrainParts) -> dict[str, Any]:
    """Returns values for all unset options, by dotted names, so that the run can be repeated.

    ``backbone: auto`` becomes an encoder; stride, image size, pooling, learning rate of the encoder
    and number of epochs are set to suit the data. A config without unset options is not changed.
    """
    scenes = isinstance(config.data, Scenes)
    encoder, init = config.encoder, config.encoder.init
    choices: dict[str, Any] = {} if init is None else _of_model(config, init)
    if encoder.backbone == "auto" and "encoder.backbone" not in choices:
        if lite_is_installed():
            choices["encoder.backbone"] = LITE[0]
        else:
            choices["encoder.backbone"] = WITHOUT_LITE
            if encoder.weights in (None, "default"):
                choices["encoder.weights"] = "none"  # pretrained ones would have to be downloaded
        if encoder.stride is None and scenes:
            choices["encoder.stride"] = 16
    if config.images.size is None and scenes and "images.size" not in choices:
        choices["images.size"] = getattr(config.data, "size", None) or SCENE_SIZE
    if encoder.pooling is None and "encoder.pooling" not in choices:
        choices["encoder.pooling"] = "gem" if scenes else "average"
    if (
        encoder.stages is None
        and "encoder.stages" not in choices
        and not _may_choose_stages(config)
    ):
        choices["encoder.stages"] = 1
    if config.recipe.name == "auto":  # sets the others when the data have been read
        return choices
    usual = TrainParts()
    head = config.head
    open_options: dict[str, tuple[Any, Any]] = {
        "encoder.freeze": (encoder.freeze, usual.encoder.freeze),
        "images.augmentation": (config.images.augmentation, usual.images.augmentation),
        "optimizer.lr": (config.optimizer.lr, usual.optimizer.lr),
        "optimizer.encoder_lr": (config.optimizer.encoder_lr, 1.0 if scenes else 0.1),
        "run.epochs": (config.run.epochs, 4 if scenes else 12),
        "run.batch_size": (config.run.batch_size, usual.run.batch_size),
        "run.keep": (config.run.keep, usual.run.keep),
        "run.refit": (config.run.refit, usual.run.refit),
    }
    if isinstance(head, LinearStart):
        open_options["head.start"] = head.start, "random"
    if isinstance(head, SharedClassifiers):
        open_options["head.similarity"] = head.similarity, NOTHING
    return choices | {name: its for name, (given, its) in open_options.items() if given is None}


def _of_model(config: TrainParts, run: Path) -> dict[str, Any]:
    """Returns values of unset options from the description of the model for initialisation.

    Errors in that description are reported when the model is loaded. Other weights, which might
    have to be downloaded, are not loaded before.
    """
    encoder = config.encoder
    try:
        model = read_json(run / "model.json", "model description")
        its = model["encoder"] if "encoder" in model else model["inputs"][0]["encoder"]
        found = {
            "encoder.backbone": (encoder.backbone == "auto", its["name"]),
            "encoder.stride": (encoder.stride is None, its.get("stride")),
            "encoder.stages": (
                encoder.stages is None and not _needs_map(config),
                its.get("stages", 1),
            ),
            "encoder.pooling": (encoder.pooling is None, model["pooling"]),
            "images.size": (config.images.size is None, model["image_size"]),
        }
    except (InputError, KeyError, IndexError, TypeError, AttributeError):
        return {"encoder.weights": "none"}
    choices = {name: value for name, (is_open, value) in found.items() if is_open}
    return {**choices, "encoder.weights": "none"}


def _may_choose_stages(config: TrainParts) -> bool:
    """Whether the recipe chooses the number of stages after measuring."""
    starts = isinstance(config.head, LinearStart) and config.head.start != "random"
    scenes = isinstance(config.data, Scenes)
    return config.recipe.name == "auto" and starts and not scenes and not _needs_map(config)


def _needs_map(config: TrainParts) -> bool:
    return HEADS.get(config.head.name, LinearHead).needs_map
