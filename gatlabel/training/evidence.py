"""Logits of held-out images, by which initial and trained weights are compared."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gatlabel.data import ImageSource
from gatlabel.devices import choose_device
from gatlabel.inference import predict_features
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearInit
from gatlabel.training.config import TrainConfig
from gatlabel.training.starting import features


@dataclass(frozen=True)
class Evidence:
    """Logits ``(N, L)`` of several classifiers for the same images.

    Attributes:
        images: Kind of images: the validation split, or training images out of fold.
        targets: ``(N, L)``, -1 for unknown.
        start: Logits of the closed-form initialisation, if there is one.
        trained: Logits of the trained weights, if any were trained.
        linear: Logits of the trained weights without the residual attention; equal to ``trained``
            for a head without residual attention.
        groups: The group of each image (a patient, a video), if groups are given.
    """

    images: Literal["validation", "out-of-fold"]
    targets: Tensor
    start: Tensor | None
    trained: Tensor | None
    linear: Tensor | None
    groups: Sequence[str] | None = None


@torch.no_grad()
def without_residual(
    model: MultiLabelClassifier, source: ImageSource, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Returns the logits ``(N, L)`` of a trained model with and without residual attention."""
    found = predict_features(model.to(choose_device(config.run.device)), source)
    head = model.cpu().eval().head
    linear = copy.deepcopy(head)
    if isinstance(linear, LinearInit):
        linear.scale_residual(0.0)
    return head(found), linear(found)


@torch.no_grad()
def validation_evidence(
    model: MultiLabelClassifier,
    untrained: MultiLabelClassifier,
    val: ImageSource,
    config: TrainConfig,
) -> Evidence:
    """Collects the logits of validation images.

    Args:
        model: The trained model.
        untrained: The model with its closed-form initialisation.
        val: The validation images.
        config: The options of the run.
    """
    trained, linear = without_residual(model, val, config)
    start = untrained.eval().head(features(untrained, val, config))
    return Evidence("validation", val.targets.to_dense(), start, trained, linear, val.groups)
