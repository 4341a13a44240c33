"""The best possible predictions on scenes, from exact evidence and the true label graph.

The oracle gets the visible labels. A visible label is present. A label that is not visible is
absent, or present and hidden, which happens with the known probability ``η``; hiding leaves no
other trace. Given the visible labels V, therefore

    P(y | V) ∝ P(y) Π_{i ∈ V} [y_i = 1] Π_{i ∉ V} η^{y_i},

which is also an Ising model, with ``log η`` added to the fields and V clamped. Gibbs chains, one
or more per image, estimate ``P(y_i = 1 | V)``; no ranking is better than ranking by it. A
classifier that has to recognise silhouettes scores lower. One that beats the *visible-only*
oracle, which uses V but not the graph, must have used the dependence between labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatlabel.data.scenes.images import SceneImages
from gatlabel.data.scenes.ising import Array, GibbsChains, IsingModel
from gatlabel.data.scenes.label_models import label_model
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError


@dataclass(frozen=True)
class OracleResult:
    """Results of the oracles on a set of scenes.

    Attributes:
        labels: The L label names.
        average_precision: AP of the oracle, uninterpolated, ``(L,)``; NaN without positives.
        visible_only: AP of the oracle without the graph.
        mean: mAP of the oracle, over the labels that have a positive.
        visible_only_mean: mAP of the oracle without the graph.
        without_positive: Labels without positives, excluded from both means.
    """

    labels: tuple[str, ...]
    average_precision: Array
    visible_only: Array
    mean: float
    visible_only_mean: float
    without_positive: tuple[str, ...]


def posterior(
    model: IsingModel,
    visible: NDArray[np.bool_],
    hidden: float,
    *,
    sweeps: int = 300,
    burn_in: int = 50,
    seed: int = 0,
) -> Array:
    """Estimates ``P(y_i = 1 | visible labels)`` by conditional Gibbs sampling.

    Args:
        model: The label model.
        visible: bool ``(N, L)``: labels seen.
        hidden: Probability that a present label is not seen, in [0, 1).
        sweeps: Number of sweeps that are averaged.
        burn_in: Number of sweeps before.
        seed: Seed of the chains.

    Returns:
        ``(N, L)`` in [0, 1]; exactly 1 for visible labels.
    """
    if sweeps < 1 or burn_in < 0:
        raise InputError(f"{sweeps} sweeps after {burn_in}: expected at least 1 after at least 0")
    if hidden == 0:
        return visible.astype(np.float64)
    seen = np.ascontiguousarray(visible.T)
    offsets = np.full(len(model.names), np.log(hidden))
    chains = GibbsChains(model, len(visible), seen, offsets)
    rng = np.random.default_rng([seed, 4711])
    total = np.zeros(seen.shape)
    for step in range(burn_in + sweeps):
        chains.sweep(rng.random(seen.shape, dtype=np.float32))
        if step >= burn_in:
            # the mean of conditional probabilities (Rao-Blackwell) has a smaller variance
            total += 1 / (1 + np.exp(-chains.log_odds()))
    return np.where(seen, 1.0, total / sweeps).T


def oracle_scores(source: SceneImages, *, sweeps: int = 300, seed: int = 0) -> Array:
    """Returns the oracle's probability of each label in each image, ``(N, L)``."""
    return posterior(
        label_model(source.config), source.visible, source.config.hidden, sweeps=sweeps, seed=seed
    )


def visible_only_scores(source: SceneImages) -> Array:
    """Returns the scores of the oracle without the graph: 1 for visible labels, else a constant.

    The probability that a label is present though not visible is the same in all images, so that
    images in which a label is not visible tie.
    """
    model, hidden = label_model(source.config), source.config.hidden
    frequency = model.sample(8192, (4712,)).mean(0)
    unseen = frequency * hidden / (1 - frequency + frequency * hidden)
    return np.where(source.visible, 1.0, unseen)


def oracle_map(source: ImageSource, *, graph: bool = True) -> float:
    """Mean average precision of the oracle, over the labels that have a positive.

    Args:
        source: The evaluated scenes.
        graph: Whether the oracle uses the label graph.

    Raises:
        InputError: If the source is not one of scenes, or no image has a label.
    """
    result = oracle_result(source)
    return result.mean if graph else result.visible_only_mean


def oracle_result(source: ImageSource, *, sweeps: int = 300, seed: int = 0) -> OracleResult:
    """Computes the results of the oracles per label, with and without the graph.

    Args:
        source: The evaluated scenes.
        sweeps: Gibbs sweeps per image.
        seed: Seed of the Gibbs chains.

    Raises:
        InputError: If the source is not one of scenes, or no image has a label.
    """
    from gatlabel.metrics import average_precision

    if not isinstance(source, SceneImages):
        raise InputError("the oracle exists for scenes only, whose label model is known")
    targets = source.targets.to_dense()

    def precision(scores: Array) -> Array:
        result: Array = average_precision(torch.from_numpy(scores), targets).numpy()
        return result

    graph = precision(oracle_scores(source, sweeps=sweeps, seed=seed))
    visible = precision(visible_only_scores(source))
    judged = ~np.isnan(graph)
    if not judged.any():
        raise InputError(f"none of the {len(source)} scenes has a label: draw more scenes")
    return OracleResult(
        labels=source.labels.names,
        average_precision=graph,
        visible_only=visible,
        mean=float(graph[judged].mean()),
        visible_only_mean=float(visible[judged].mean()),
        without_positive=tuple(
            name for name, ok in zip(source.labels, judged, strict=True) if not ok
        ),
    )
