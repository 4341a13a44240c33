"""Accuracy, macro recall and log loss of one class per image."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN


def accuracy(predicted: Tensor, classes: Tensor) -> float:
    """Share of the images with a known class whose class is predicted.

    Args:
        predicted: Integers ``(N,)``, the predicted classes.
        classes: Integers ``(N,)``, the true ones; -1 for unknown.

    Returns:
        From 0 to 1; NaN where no class is known.

    Raises:
        InputError: If the shapes differ.

    Example:
        >>> accuracy(torch.tensor([0, 1, 2]), torch.tensor([0, 2, -1]))
        0.5
    """
    predicted, classes = _known(predicted, classes)
    return float((predicted == classes).double().mean())


def macro_recall(predicted: Tensor, classes: Tensor) -> float:
    """Mean recall over the classes that occur, also known as balanced accuracy.

    Args:
        predicted: Integers ``(N,)``, the predicted classes.
        classes: Integers ``(N,)``, the true ones; -1 for unknown.

    Returns:
        From 0 to 1; NaN where no class is known.

    Raises:
        InputError: If the shapes differ.
    """
    predicted, classes = _known(predicted, classes)
    hits = (predicted == classes).double()
    occurring = classes.unique()
    recalls = [hits[classes == one].mean() for one in occurring]
    return float(torch.stack(recalls).mean()) if recalls else float("nan")


def log_loss(probabilities: Tensor, classes: Tensor) -> float:
    """Mean negative log-probability of the true classes; smaller is better.

    Args:
        probabilities: ``(N, C)``; those below the smallest normal number count as that number.
        classes: Integers ``(N,)``, the true ones; -1 for unknown.

    Returns:
        At least 0; NaN where no class is known.

    Raises:
        InputError: If the shapes differ.
    """
    if probabilities.ndim != 2 or classes.shape != probabilities.shape[:1]:
        raise InputError(
            f"probabilities {tuple(probabilities.shape)} and true classes {tuple(classes.shape)}: "
            "expected (N, C) and (N,)"
        )
    known = classes != UNKNOWN
    true = probabilities[known].double().gather(1, classes[known].long()[:, None])
    return float(-true.clamp(min=torch.finfo(torch.float64).tiny).log().mean())


def _known(predicted: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    if predicted.shape != classes.shape or classes.ndim != 1:
        raise InputError(
            f"predicted classes {tuple(predicted.shape)} and true ones {tuple(classes.shape)} "
            "must both be (N,)"
        )
    known = classes != UNKNOWN
    return predicted[known], classes[known]
