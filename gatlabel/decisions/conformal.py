"""Sets of labels with a guarantee: how many present labels are missed, how many named are wrong."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from gatlabel.decisions.inputs import check_probabilities, check_share
from gatlabel.errors import InputError
from gatlabel.metrics.inputs import Array

_ROUNDING = 1e-9  # sums of shares round; a share of one image is at least 1 / L
_GRID = 1000


class InfeasibleWarning(UserWarning):
    """Too few images for the guarantee: it holds only where every label, or none, is named."""


def conformal_threshold(
    probabilities: Array, targets: Array, alpha: float = 0.1, *, delta: float | None = None
) -> float:
    """Returns the threshold that bounds the share of present labels that an image's set misses.

    The loss of an image is the share of its present labels with a probability below the threshold;
    0 if it has none. Without ``delta`` this is conformal risk control (Angelopoulos et al. 2022,
    arXiv:2208.02814): the largest threshold with ``(n R + 1) / (n + 1) <= alpha``, where ``R`` is
    the mean loss of the ``n`` images. It is found exactly, by sorting. The loss of a further image
    is then ``alpha`` at most, in the mean over draws of these images and that one. With ``delta``
    (risk-controlling prediction sets, Bates et al. 2021, arXiv:2101.02703, bound of Hoeffding and
    Bentkus) the mean loss is at most ``alpha`` for all but a share ``delta`` of such draws.

    Only known targets count: where some are unknown, they are assumed to be so at random. Images
    of which no target is known are left out.

    Args:
        probabilities: ``(N, L)`` in [0, 1], of images that the model was not trained on and that
            are like those to come.
        targets: ``(N, L)`` of 1, 0 and -1.
        alpha: The bound of the mean loss, between 0 and 1.
        delta: The share of draws that may exceed it; none bounds the mean over draws.

    Returns:
        The threshold: a label is in the set where its probability is at least that. 0, with an
        :class:`InfeasibleWarning`, where there are too few images: then every label is.

    Raises:
        InputError: If shapes differ, a value is out of range, or no target is known.
    """
    share = check_share(alpha, "alpha")
    values, exact = check_probabilities(probabilities, targets)
    kept = (exact >= 0).any(1)
    count = int(kept.sum())
    if count == 0:
        raise InputError("no target is known: there is no image to choose a threshold on")
    if delta is None:
        budget = share * (count + 1) - 1
    else:
        budget = _largest_loss(count, share, check_share(delta, "delta"))
    if budget < -_ROUNDING:
        warnings.warn(
            f"{count} images are too few for alpha={share:g}"
            f"{'' if delta is None else f' and delta={delta:g}'}: every label is in the set",
            InfeasibleWarning,
            stacklevel=2,
        )
        return 0.0
    present = (exact == 1) & kept[:, None]
    weight = 1.0 / present.sum(1, keepdim=True).clamp(min=1)
    found = values[present]
    order = found.argsort()
    lost = weight.expand(present.shape)[present].double()[order].cumsum(0)
    # above a probability all entries with that same one are lost: the sum behind the last of them
    ordered = found[order]
    last = torch.searchsorted(ordered, ordered, right=True) - 1
    beyond = lost[last] > budget + _ROUNDING if len(lost) else torch.zeros(0, dtype=torch.bool)
    return float(ordered[beyond][0]) if bool(beyond.any()) else 1.0


def precision_guarantee(
    probabilities: Array, targets: Array, alpha: float = 0.1, delta: float = 0.1
) -> float:
    """Returns the lowest threshold at which the share of wrong labels in a set is bounded.

    The loss of an image is the share of the labels in its set that are absent; 0 for an empty set.
    Learn then test (Angelopoulos et al. 2021, arXiv:2110.01052): thresholds are tested from the
    highest downwards, on a grid that does not depend on the data, until one fails (fixed
    sequence, p-values of Hoeffding and Bentkus). For all but a share ``delta`` of draws of the
    images the mean loss is at most ``alpha``.

    Args:
        probabilities: ``(N, L)`` in [0, 1], of images that the model was not trained on.
        targets: ``(N, L)`` of 1, 0 and -1; unknown entries are left out.
        alpha: The bound of the mean loss, between 0 and 1.
        delta: The share of draws that may exceed it, between 0 and 1.

    Returns:
        The threshold; 1, with an :class:`InfeasibleWarning`, where none passes.

    Raises:
        InputError: As :func:`conformal_threshold`.
    """
    share, risk = check_share(alpha, "alpha"), check_share(delta, "delta")
    values, exact = check_probabilities(probabilities, targets)
    kept = (exact >= 0).any(1)
    if not bool(kept.any()):
        raise InputError("no target is known: there is no image to choose a threshold on")
    largest = _largest_loss(int(kept.sum()), share, risk)
    grid = _grid()
    losses = _false_discoveries(values[kept].numpy(), exact[kept].numpy(), grid)
    passing = int(np.argmax(np.r_[losses > largest + _ROUNDING, True]))
    if passing == 0:
        warnings.warn(
            f"no threshold bounds the share of wrong labels at alpha={share:g}, delta={risk:g}: "
            "take more images",
            InfeasibleWarning,
            stacklevel=2,
        )
        return 1.0
    return float(grid[passing - 1])


def _grid() -> NDArray[np.float64]:
    """Thresholds from high to low, evenly spaced in the logit from 10 to -10."""
    grid: NDArray[np.float64] = 1 / (1 + np.exp(-np.linspace(10, -10, _GRID)))
    return grid


def _false_discoveries(
    values: NDArray[np.floating], exact: NDArray[np.int8], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The sum over images of the share of wrong labels, at each threshold of a falling grid."""
    step = np.searchsorted(-grid, -values.astype(np.float64), side="left")  # first that takes it
    wrong, named = (np.zeros((len(values), len(grid) + 1)) for _ in range(2))
    rows = np.broadcast_to(np.arange(len(values))[:, None], values.shape)
    np.add.at(named, (rows, step), exact >= 0)
    np.add.at(wrong, (rows, step), exact == 0)
    share = wrong.cumsum(1) / np.maximum(named.cumsum(1), 1)
    total: NDArray[np.float64] = share.sum(0)[: len(grid)]
    return total


def _largest_loss(count: int, alpha: float, delta: float) -> float:
    """The largest sum of ``count`` losses whose p-value for a mean above ``alpha`` is <= delta.

    -1 where even a sum of 0 has a larger one. The p-value is the smaller one of Hoeffding's
    ``exp(-n h(min(r, alpha), alpha))``, with ``h`` the relative entropy, and Bentkus'
    ``e P(Bin(n, alpha) <= ceil(n r))``.
    """
    sums = np.arange(count + 1)
    bentkus = math.e * binom.cdf(sums, count, alpha)
    by_bentkus = float(np.flatnonzero(bentkus <= delta)[-1]) if bentkus[0] <= delta else -1.0
    low, high = 0.0, alpha * count
    if _hoeffding(low, count, alpha) > delta:
        return by_bentkus
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _hoeffding(middle, count, alpha) <= delta else (low, middle)
    return max(low, by_bentkus)


def _hoeffding(total: float, count: int, alpha: float) -> float:
    mean = min(total / count, alpha)
    entropy = (1 - mean) * math.log((1 - mean) / (1 - alpha))
    if mean > 0:
        entropy += mean * math.log(mean / alpha)
    return math.exp(-count * entropy)
