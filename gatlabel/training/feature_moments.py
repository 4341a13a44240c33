"""Mean and covariance of a finished run's features: what later labels are learned with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from gatlabel.baselines.moments import MOST_DIRECTIONS, Moments
from gatlabel.data import ImageSource
from gatlabel.inference import predict_features
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead

#: Images that are measured; more would find no more directions than are kept.
IMAGES = MOST_DIRECTIONS


def pooled_model(model: MultiLabelClassifier) -> MultiLabelClassifier:
    """Returns a model whose features are pooled, also where the head takes maps."""
    if not model.head.needs_map:
        return model
    head = LinearHead(model.encoder.pooled_features, labels=model.labels)
    return MultiLabelClassifier(
        model.encoder, head, model.labels, resize=model.resize, image_size=model.image_size
    ).eval()


def measured_moments(model: MultiLabelClassifier, source: ImageSource, seed: int = 0) -> Moments:
    """Measures the pooled features of at most 512 images, whole and resized, drawn by a seed.

    Raises:
        InputError: If an image cannot be decoded, a feature is not finite, or there is one image.
    """
    rows = np.random.default_rng(seed).permutation(len(source))[:IMAGES]
    found: Tensor = predict_features(pooled_model(model), source.subset(np.sort(rows).tolist()))
    return Moments.of(found)


def keep_moments(model: MultiLabelClassifier, source: ImageSource, path: Path) -> None:
    """Writes the moments of a run's training images, where there are two or more."""
    if len(source) > 1 and not model.head.needs_map:
        measured_moments(model, source).save(path)
