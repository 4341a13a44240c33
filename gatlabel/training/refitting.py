"""Ridge regression on the features of a trained encoder, in place of the trained classifiers."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.data import ImageSource
from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.inference import on_device, predict_features
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.heads.protocols import starts_linear
from gatlabel.training.config import TrainConfig
from gatlabel.training.proving import RULES
from gatlabel.training.starting import regression


def require_refittable(model: MultiLabelClassifier, config: TrainConfig) -> None:
    """Refuses ``run.refit`` for a head that has no closed form, before anything is trained.

    Raises:
        InputError: If the head cannot be initialised as a linear classifier.
    """
    if config.run.refit and not starts_linear(model.head):
        raise InputError(
            f"run.refit=true: not for head={config.head.name}, only for heads that can be "
            "initialised as a linear classifier"
        )


@torch.no_grad()
def refit(
    model: MultiLabelClassifier,
    config: TrainConfig,
    source: ImageSource,
    completion: Completion | None,
    choice: SimilarityChoice | None = None,
) -> Tensor:
    """Replaces the classifiers of a trained model by ridge regression on its features.

    Few steps adapt an encoder further than the classifiers on top of it. Regression on the same
    images finds the best classifiers for the features as they have become (docs/studies/auto.md).
    Residual attention was trained beside the former classifiers. It stays only where held-out
    images decide how much of it to keep (:func:`~gatlabel.training.settling.settle`).

    Args:
        model: The trained model, on the CPU; its head is changed in place.
        config: The options of the run.
        source: The training images, which are not augmented here.
        completion: Provides targets of unknown labels; without it they are left out.
        choice: The similarity with which the head was initialised.

    Returns:
        The features of the images, ``(N, D)``.

    Raises:
        InputError: If an image cannot be decoded.
    """
    with on_device(model, choose_device(config.run.device)):
        found = predict_features(model, source)
    targets = source.targets.to_dense()
    fitted = regression(found, targets, completion, model.head, source.groups, choice)
    assert starts_linear(model.head)
    if config.run.keep not in RULES:
        model.head.scale_residual(0.0)
    model.head.init_linear(fitted.weight, fitted.bias)
    return found
