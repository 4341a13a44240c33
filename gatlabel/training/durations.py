"""Durations per image, measured with a model on this machine."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor

from gatlabel.devices import choose_device
from gatlabel.inference import on_device
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.modes import evaluating
from gatlabel.training.config import TrainConfig


def seconds_per_image(model: MultiLabelClassifier, config: TrainConfig, images: int = 8) -> float:
    """Measures the duration of the model's forward pass per image, without cached features."""
    with torch.inference_mode():
        return _measured(model, config, images, lambda found: found.sum().item())


def seconds_per_training_image(
    model: MultiLabelClassifier, config: TrainConfig, images: int = 4
) -> float:
    """Measures the duration of the forward and backward pass per image; frozen parts stay so."""
    return _measured(copy.deepcopy(model), config, images, lambda found: found.sum().backward())


def _measured(
    model: MultiLabelClassifier,
    config: TrainConfig,
    images: int,
    finish: Callable[[Tensor], object],
) -> float:
    """Returns seconds per image; ``finish`` uses the logits, so that the device is waited for.

    The shortest of three measurements: other processes only ever lengthen one.
    """
    size = model.image_size
    batch = torch.zeros(images, 3, size, size, dtype=torch.uint8)
    device = choose_device(config.run.device)
    with on_device(model, device), evaluating(model):
        finish(model(batch[:2].to(device)))  # the first call allocates memory
        took = []
        for _ in range(3):
            began = time.perf_counter()
            finish(model(batch.to(device)))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            took.append(time.perf_counter() - began)
        return min(took) / images
