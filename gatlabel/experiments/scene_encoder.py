"""The frozen encoder for scenes: trained once on separate scenes, and cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gatlabel.data.options import Scenes
from gatlabel.data.scenes import SceneImages, scene_config
from gatlabel.engine.fitting import precision_of
from gatlabel.model import MultiLabelClassifier
from gatlabel.options import flat
from gatlabel.training.building import build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import training_loader
from gatlabel.training.fitting import fit, spec_of

VERSION = 2  # increase it when the training changes


def scene_encoder(
    config: TrainConfig,
    images: int,
    epochs: int,
    cache: Path,
    log: Callable[[str], None] = lambda line: None,
) -> MultiLabelClassifier:
    """Returns a model whose encoder and pooling were trained on the ``pretrain`` split of scenes.

    They were trained with a linear head, so they favour no graph.

    Args:
        config: Options of encoder and training; its seed, head and epochs are ignored.
        images: Number of training images.
        epochs: Number of epochs.
        cache: Folder of the cached encoder.
        log: Called with progress messages.
    """
    run = {"run.epochs": epochs, "run.seed": 0, "run.keep": "last", "run.patience": 0}
    config = config.with_options({"head": "linear"}).resolved().with_options(run)
    assert isinstance(config.data, Scenes)
    folder = cache / f"scene-encoder-{_key(config, images, epochs)}"
    if (folder / "model.safetensors").is_file():  # written last
        log(f"encoder for scenes: {folder}")
        return MultiLabelClassifier.from_pretrained(folder)
    log(f"training an encoder for scenes, once: {epochs} epochs of {images} images")
    scenes = scene_config(config.data.preset, **_appearance(config.data))
    train = SceneImages(scenes, "pretrain", images)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _linear_model(config, train)
        fit(model, config, (training_loader(train, model, config), None), None)
    model.save_pretrained(folder)
    return model


def _appearance(scenes: Scenes) -> dict[str, Any]:
    # co-occurrence is the benchmark's subject, so the encoder does not depend on its options
    return {k: v for k, v in scenes.overrides().items() if k in ("size", "difficulty")}


def _key(config: TrainConfig, images: int, epochs: int) -> str:
    """Returns a hash of everything that determines the encoder."""
    assert isinstance(config.data, Scenes)
    parts = (config.images, config.encoder, config.loss, config.optimizer)
    options = [flat(part, lambda field: field.metadata.get("benchmark", True)) for part in parts]
    deciding = [config.data.preset, _appearance(config.data), config.run.images_per_step, *options]
    content = json.dumps([VERSION, images, epochs, precision_of(spec_of(config)), deciding])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _linear_model(config: TrainConfig, source: SceneImages) -> MultiLabelClassifier:
    from gatlabel.graph import Cooccurrence

    counts = Cooccurrence.from_targets(source.targets, source.labels)
    return build_model(config, counts.graph("identity"))
