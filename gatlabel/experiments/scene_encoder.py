"""The frozen encoder for scenes: trained once, on drawings that no split has, and cached."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gatlabel.data import DataSplits
from gatlabel.data.scenes import SceneImages, scene_config
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.building import build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import loaders, scene_options
from gatlabel.training.fitting import fit, precision_of

VERSION = 1  # raise it when the training changes
VALIDATION = 200  # pictures, for the curve only: nothing is chosen by it
#: Options of training that decide what the encoder becomes.
DECIDING = (
    *("scene_preset", "backbone", "weights", "stride", "freeze", "pooling", "image_size", "resize"),
    *("augmentation", "loss", "batch_size", "optimizer", "lr", "encoder_lr", "weight_decay"),
    *("schedule", "warmup", "clip_gradient", "ema", "stages"),
)
#: Of those, what earlier versions did not have, and what it was then.
LATER = {"stages": 1}
#: And those that decide it under one loss or schedule only.
DECIDING_WITH = {
    "asl": ("gamma_positive", "gamma_negative", "clip"),
    "focal": ("gamma_positive",),
    "step": ("step_epochs",),
}


def scene_encoder(
    config: TrainConfig,
    pictures: int,
    epochs: int,
    cache: Path,
    say: Callable[[str], None] = lambda line: None,
) -> MultiLabelClassifier:
    """Returns a model whose encoder and pooling learned on the ``pretrain`` split of scenes.

    A linear head was trained with them, so they favour no graph.

    Args:
        config: Encoder and training; its seed, head and epochs do not matter.
        pictures: Drawings to learn from.
        epochs: Passes over them.
        cache: Folder that keeps the trained encoder.
        say: Called with plain sentences.
    """
    config = dataclasses.replace(
        config.resolved(), head="linear", epochs=epochs, seed=0, keep="last", patience=0
    )
    folder = cache / f"scene-encoder-{_key(config, pictures, epochs)}"
    if (folder / "model.safetensors").is_file():  # written last
        say(f"encoder for scenes: {folder}")
        return MultiLabelClassifier.from_pretrained(folder)
    say(f"training an encoder for scenes, once: {epochs} epochs of {pictures} pictures")
    scenes = scene_config(config.scene_preset, **_looks(config))
    every = SceneImages(scenes, "pretrain", pictures + VALIDATION)
    train = every.subset(range(pictures))
    splits = DataSplits("scenes", train, every.subset(range(pictures, len(every))))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _linear_model(config, train)
        fit(model, config, loaders(splits, model, config), None)
    model.save_pretrained(folder)
    return model


def _looks(config: TrainConfig) -> dict[str, Any]:
    # how labels go together is the benchmark's subject, so the encoder does not follow its options
    return {k: v for k, v in scene_options(config).items() if k in ("size", "difficulty")}


def _key(config: TrainConfig, pictures: int, epochs: int) -> str:
    """A hash of all that decides what the encoder becomes."""
    options = config.to_dict()
    names = [*DECIDING]
    for choice in (config.loss, config.schedule):
        names += DECIDING_WITH.get(choice, ())
    deciding = {name: options[name] for name in names if options[name] != LATER.get(name)}
    if precision_of(config) != "32-true":
        deciding["precision"] = precision_of(config)
    content = json.dumps([VERSION, pictures, epochs, deciding, _looks(config)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _linear_model(config: TrainConfig, source: SceneImages) -> MultiLabelClassifier:
    from gatlabel.graph import Cooccurrence

    counts = Cooccurrence.from_targets(source.targets, source.labels)
    return build_model(config, counts.graph("identity"), "linear")
