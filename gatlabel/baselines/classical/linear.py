"""Linear classifiers per label: support vector machine, logistic regression, class means."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.baselines.classical.known import KnownTargets
from gatlabel.baselines.regression import group_numbers
from gatlabel.baselines.ridge import calibrated
from gatlabel.errors import require_extra
from gatlabel.metrics import mean_average_precision

Array = NDArray[np.float64]
#: Fits one label: features ``(n, D)``, bool targets ``(n,)`` with both classes, and C give weight
#: and bias.
FitLabel = Callable[[Array, NDArray[np.bool_], float], tuple[Array, float]]
FOLDS = 5


@dataclass(frozen=True)
class Scaled:
    """Centred features of mean squared length one, rotated to at most N dimensions.

    Penalties on the length of a weight do not depend on the basis, so the rotation saves time
    without changing the solution.

    Attributes:
        features: float64 ``(N, R)``.
        mean: float64 ``(D,)``.
        basis: float64 ``(R, D)``: scaled features are ``(x − mean) @ basis.T``.
    """

    features: Tensor
    mean: Tensor
    basis: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Scaled:
        """Scales features ``(N, D)``."""
        x = features.double()
        mean = x.mean(0)
        centred = x - mean
        length = math.sqrt(float(centred.square().sum(1).mean())) or 1.0
        width = x.shape[1]
        if len(x) >= width:
            basis = torch.eye(width, dtype=torch.float64) / length
            return cls(centred / length, mean, basis)
        _, size, directions = torch.linalg.svd(centred / length, full_matrices=False)
        basis = directions[size > 1e-10 * size.max().clamp(min=1e-300)] / length
        return cls(centred @ basis.T, mean, basis)

    def unscaled(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Converts classifiers ``(…, R)``, ``(…)`` of scaled features to the original features."""
        found = weight @ self.basis
        return found, bias - found @ self.mean


def _svm(x: Array, y: NDArray[np.bool_], c: float) -> tuple[Array, float]:
    fitted = require_extra("sklearn.svm", "classical").LinearSVC(C=c, dual=False, max_iter=1000)
    return _fitted(fitted, x, y)


def _logistic(x: Array, y: NDArray[np.bool_], c: float) -> tuple[Array, float]:
    linear = require_extra("sklearn.linear_model", "classical")
    return _fitted(linear.LogisticRegression(C=c, max_iter=1000), x, y)


def _fitted(estimator: Any, x: Array, y: NDArray[np.bool_]) -> tuple[Array, float]:
    with warnings.catch_warnings():
        # classifiers that did not converge in this many steps are just as accurate
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        estimator.fit(x, y)
    return estimator.coef_[0], float(estimator.intercept_[0])


def _centroid(x: Array, y: NDArray[np.bool_], c: float) -> tuple[Array, float]:
    """Log-odds of two Gaussians at the class means, with one variance for all dimensions."""
    means = x[y].mean(0), x[~y].mean(0)
    apart = x - np.where(y[:, None], *means)
    variance = float((apart**2).mean()) or 1.0
    weight = (means[0] - means[1]) / variance
    return weight, float(-weight @ (means[0] + means[1]) / 2 + math.log(y.mean() / (1 - y.mean())))


@dataclass(frozen=True)
class LinearMethod:
    """A method that fits linear classifiers.

    Attributes:
        fit: Fits one label.
        grid: The candidate values of C.
        calibrates: Whether out-of-fold scores are used to convert scores to log-odds.
    """

    fit: FitLabel
    grid: tuple[float, ...]
    calibrates: bool


LINEAR_METHODS = {
    "svm": LinearMethod(_svm, (0.01, 0.03, 0.1, 0.3, 1.0), calibrates=True),
    "logistic": LinearMethod(_logistic, (0.1, 1.0, 10.0, 100.0, 1000.0), calibrates=False),
    "centroid": LinearMethod(_centroid, (1.0,), calibrates=True),
}


def fit_linear(
    kind: str,
    features: Tensor,
    targets: Tensor,
    c: float | None = None,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> tuple[Tensor, Tensor]:
    """Fits one linear classifier per label, on the images for which the label is known.

    Args:
        kind: A key of :data:`LINEAR_METHODS`.
        features: ``(N, D)``.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        c: Inverse strength of the regularisation; ``None`` chooses it by cross-validated mAP.
        seed: Seed of the folds.
        groups: The group of each image; those of one group are in one fold.

    Returns:
        float64 weight ``(L, D)`` and bias ``(L,)``; labels without positives or negatives have
        zero weights and a bias.
    """
    method, scaled, known = LINEAR_METHODS[kind], Scaled.of(features), KnownTargets.of(targets)
    grid = method.grid if c is None else (c,)
    strength, scores = grid[0], None
    if len(grid) > 1 or method.calibrates:
        strength, scores = choose_strength(method.fit, grid, scaled.features, known, seed, groups)
    weight, bias = fit_labels(method.fit, scaled.features, known, strength)
    use = known.usable
    if method.calibrates and scores is not None and bool(use.any()):
        y = known.present[:, use].double()
        scale, offset = calibrated(scores[:, use], y, known.known[:, use], known.rates[use])
        weight[use], bias[use] = scale * weight[use], scale * bias[use] + offset
    return scaled.unscaled(weight, bias)


def choose_strength(
    fit: FitLabel,
    grid: tuple[float, ...],
    features: Tensor,
    known: KnownTargets,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> tuple[float, Tensor]:
    """Chooses one C for all labels by cross-validated mAP.

    One C per label would be noisy for labels with few positives.

    Args:
        fit: Fits one label.
        grid: The values of C.
        features: ``(N, R)``, scaled.
        known: The targets.
        seed: Seed of the folds.
        groups: The group of each image; those of one group are in one fold.

    Returns:
        C, and its out-of-fold scores ``(N, L)``.
    """
    folds = folds_of(len(features), FOLDS, seed, groups)
    targets = torch.where(known.known, known.present.float(), -1.0)
    found = [out_of_fold(fit, c, features, known, folds) for c in grid]
    figures = [float(mean_average_precision(scores, targets).value) for scores in found]
    best = max(range(len(grid)), key=lambda k: -1.0 if math.isnan(figures[k]) else figures[k])
    return grid[best], found[best]


def folds_of(
    images: int, folds: int, seed: int, groups: Sequence[Hashable] | None = None
) -> Tensor:
    """Assigns images, or groups of images, to folds at random: int64 ``(N,)``."""
    unit = group_numbers(groups, images)
    count = int(unit.max()) + 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return (order % max(1, min(folds, count)))[unit]


def out_of_fold(
    fit: FitLabel, c: float, features: Tensor, known: KnownTargets, folds: Tensor
) -> Tensor:
    """Returns out-of-fold scores ``(N, L)``: by classifiers trained without the image."""
    scores = torch.zeros(known.known.shape, dtype=torch.float64)
    for fold in folds.unique():
        rest, part = folds != fold, folds == fold
        weight, bias = fit_labels(fit, features, known, c, rest)
        scores[part] = features[part] @ weight.T + bias
    return scores


def fit_labels(
    fit: FitLabel, features: Tensor, known: KnownTargets, c: float, rows: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Fits every label on the images for which it is known.

    Args:
        fit: Fits one label.
        features: ``(N, R)``, scaled.
        known: The targets.
        c: Inverse strength of the regularisation.
        rows: bool ``(N,)``: the training images; default: all.

    Returns:
        Weight ``(L, R)`` and bias ``(L,)``; zero weights where only one class occurs.
    """
    weight = torch.zeros(known.known.shape[1], features.shape[1], dtype=torch.float64)
    bias = known.rates.logit()
    for label in known.usable.nonzero()[:, 0].tolist():
        use = known.known[:, label] if rows is None else known.known[:, label] & rows
        y = known.present[use, label].numpy()
        if y.any() and not y.all():
            found = fit(features[use].numpy(), y, c)
            weight[label], bias[label] = torch.from_numpy(np.asarray(found[0])), found[1]
    return weight, bias
