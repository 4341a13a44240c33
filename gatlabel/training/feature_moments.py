"""Mean and covariance of a finished run's features, from which later labels are learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from gatlabel.baselines.moments import MOST_DIRECTIONS, Moments
from gatlabel.data import ImageSource
from gatlabel.inference import predict_features
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead

#: Number of images to measure; more images would not give more of the directions that are stored.
IMAGES = MOST_DIRECTIONS


def pooled_model(model: MultiLabelClassifier) -> MultiLabelClassifier:
    """Returns a model with pooled features, even if the head uses feature maps."""
    if not model.head.needs_map:
        return model
    head = LinearHead(model.encoder.pooled_features, labels=model.labels)
    return MultiLabelClassifier(
        model.encoder, head, model.labels, resize=model.resize, image_size=model.image_size
    ).eval()


def measured_moments(
    model: MultiLabelClassifier, source: ImageSource, seed: int = 0, found: Tensor | None = None
) -> Moments:
    """Measures the pooled features of at most 512 images, drawn by a seed and not cropped.

    Args:
        model: The model.
        source: N images.
        seed: Seed of the drawing.
        found: Features of all images, ``(N, D)``, if they have been extracted.

    Raises:
        InputError: If an image cannot be decoded, a feature is not finite, or there is only one
            image.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(source))[:IMAGES]).tolist()
    if found is not None:
        return Moments.of(found[rows])
    return Moments.of(predict_features(pooled_model(model), source.subset(rows)))


def keep_moments(
    model: MultiLabelClassifier, source: ImageSource, path: Path, found: Tensor | None = None
) -> None:
    """Writes the moments of a run's training images, if there are at least two."""
    if len(source) > 1 and not model.head.needs_map:
        measured_moments(model, source, found=found).save(path)
