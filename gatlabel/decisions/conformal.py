"""Label sets with a guarantee on missed labels or on wrong labels."""

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
    """Too few images for the guarantee: it holds only for sets of all labels, or empty sets."""


def conformal_threshold(
    probabilities: Array, targets: Array, alpha: float = 0.1, *, delta: float | None = None
) -> float:
    """Returns the threshold that bounds the share of present labels missed by an image's set.

    The loss of an image is the share of its present labels with a probability below the threshold;
    0 if it has none. Without ``delta`` this is conformal risk control (Angelopoulos et al. 2022,
    arXiv:2208.02814): the largest threshold with ``(n R + 1) / (n + 1) <= alpha``, where ``R`` is
    the mean loss of the ``n`` images. It is found exactly, by sorting. The expected loss of a new
    image is then at most ``alpha``, where the expectation is over the draw of these images and the
    new one. With ``delta`` (risk-controlling prediction sets, Bates et al. 2021, arXiv:2101.02703,
    bound of Hoeffding and Bentkus), the mean loss is at most ``alpha`` with probability at least
    ``1 - delta`` over the draw of these images.

    Only known targets count; unknown targets are assumed to be missing at random. Images without
    known targets are left out.

    Args:
        probabilities: ``(N, L)`` in [0, 1], of images that the model was not trained on and that
            are exchangeable with new images.
        targets: ``(N, L)`` of 1, 0 and -1.
        alpha: The bound of the mean loss, between 0 and 1.
        delta: The probability that the mean loss exceeds the bound; ``None`` bounds the expectation
            over draws.

    Returns:
        The threshold: labels with at least this probability are in the set. With too few images, 0
        and an :class:`InfeasibleWarning`: then every label is in the set.

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
    # a threshold above a probability loses all entries tied at it: take the sum after the last
    ordered = found[order]
    last = torch.searchsorted(ordered, ordered, right=True) - 1
    beyond = lost[last] > budget + _ROUNDING if len(lost) else torch.zeros(0, dtype=torch.bool)
    return float(ordered[beyond][0]) if bool(beyond.any()) else 1.0


def precision_guarantee(
    probabilities: Array, targets: Array, alpha: float = 0.1, delta: float = 0.1
) -> float:
    """Returns the lowest threshold for which the share of wrong labels in a set is bounded.

    The loss of an image is the share of the labels in its set that are absent; 0 for an empty set.
    The method is learn then test (Angelopoulos et al. 2021, arXiv:2110.01052): thresholds are
    tested in descending order, on a grid that does not depend on the data, until one fails (fixed
    sequence, p-values of Hoeffding and Bentkus). With probability at least ``1 - delta`` over the
    draw of the images, the mean loss is at most ``alpha``.

    Args:
        probabilities: ``(N, L)`` in [0, 1], of images that the model was not trained on.
        targets: ``(N, L)`` of 1, 0 and -1; unknown entries are left out.
        alpha: The bound of the mean loss, between 0 and 1.
        delta: The probability that the mean loss exceeds the bound, between 0 and 1.

    Returns:
        The threshold; 1, with an :class:`InfeasibleWarning`, if no threshold passes.

    Raises:
        InputError: As for :func:`conformal_threshold`.
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
            "use more images",
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
    """The sum over images of the share of wrong labels, at each threshold of a descending grid."""
    step = np.searchsorted(-grid, -values.astype(np.float64), side="left")  # first to include it
    wrong, named = (np.zeros((len(values), len(grid) + 1)) for _ in range(2))
    rows = np.broadcast_to(np.arange(len(values))[:, None], values.shape)
    np.add.at(named, (rows, step), exact >= 0)
    np.add.at(wrong, (rows, step), exact == 0)
    share = wrong.cumsum(1) / np.maximum(named.cumsum(1), 1)
    total: NDArray[np.float64] = share.sum(0)[: len(grid)]
    return total


def _largest_loss(count: int, alpha: float, delta: float) -> float:
    """The largest sum of ``count`` losses whose p-value for a mean above ``alpha`` is <= delta.

    -1 if even a sum of 0 has a larger p-value. The p-value is the smaller one of Hoeffding's
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
