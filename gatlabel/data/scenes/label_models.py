"""The label model of a configuration: the embedded Ising model with the options applied."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gatlabel.data.scenes.config import SceneConfig
from gatlabel.data.scenes.ising import Array, IsingModel, refit_fields
from gatlabel.data.scenes.silhouettes import ASSETS
from gatlabel.data.scenes.statistics import published_statistics
from gatlabel.files import read_json

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

MOST_FREQUENT = 0.8  # upper bound of skewed frequencies


@cache
def fitted_model(statistics: str) -> IsingModel:
    """Reads the Ising model fitted by ``benchmarks/assets/fit_scene_labels.py``."""
    content: dict[str, Any] = read_json(ASSETS / f"ising-{statistics}.json", "Ising model")
    couplings = np.zeros((len(content["names"]),) * 2)
    for i, j, weight in content["couplings"]:
        couplings[i, j] = couplings[j, i] = weight
    return IsingModel(
        tuple(content["names"]), np.array(content["fields"]), couplings, content["competition"]
    )


def label_model(config: SceneConfig) -> IsingModel:
    """Returns the Ising model of a configuration, from which label sets are drawn.

    With fewer labels, another strength or another tail, the fields are fitted again so that labels
    keep their frequencies (a few seconds, once per process).
    """
    return _label_model(config.statistics, config.labels, config.strength, config.long_tail)


@lru_cache(maxsize=32)
def _label_model(
    statistics: str, labels: int | None, strength: float, long_tail: float
) -> IsingModel:
    model = fitted_model(statistics)
    if labels in (None, len(model.names)) and strength == 1 and long_tail == 1:
        return model
    frequencies = label_frequencies(statistics, labels, long_tail)
    names = tuple(frequencies)
    keep = [model.names.index(name) for name in names]
    start = IsingModel(
        names,
        model.fields[keep],
        strength * model.couplings[np.ix_(keep, keep)],
        model.competition,
    )
    return refit_fields(start, np.array(list(frequencies.values())))


def label_frequencies(
    statistics: str, labels: int | None = None, long_tail: float = 1.0
) -> dict[str, float]:
    """Returns the target frequencies of labels, by name, in label order."""
    published = published_statistics(statistics)
    natural = published.counts / published.images
    keep = np.sort(np.argsort(-natural, kind="stable")[: labels or len(natural)])
    skewed = _skewed(natural[keep], long_tail)
    return {published.names[i]: float(p) for i, p in zip(keep, skewed, strict=True)}


def _skewed(frequencies: Array, exponent: float) -> Array:
    """Returns ``p^exponent``, scaled to the same sum, with values up to :data:`MOST_FREQUENT`."""
    if exponent == 1:
        return frequencies
    powered, total = frequencies**exponent, frequencies.sum()
    low, high = 0.0, total / powered.min()
    for _ in range(80):  # the scale is monotone in the sum: bisection
        scale = (low + high) / 2
        if np.minimum(scale * powered, MOST_FREQUENT).sum() < total:
            low = scale
        else:
            high = scale
    return np.minimum(high * powered, MOST_FREQUENT)


def true_graph(config: SceneConfig, *, signed: bool = False) -> LabelGraph:
    """Returns the true label graph: the couplings of the Ising model.

    Args:
        config: The configuration of scenes.
        signed: Keep negative couplings too (pairs that avoid each other more than all pairs do).
            Without it the graph contains attractions only, like graphs of co-occurrence.

    Returns:
        A symmetric graph; the weight of ``j -> i`` is the amount that the presence of ``j`` adds to
        the log-odds of ``i``.
    """
    from gatlabel.graph import LabelGraph

    model = label_model(config)
    weights = model.couplings if signed else np.maximum(model.couplings, 0)
    return LabelGraph.from_dense(weights.astype(np.float32), model.names)
