"""The settings of the optimiser that every method tries, and which of them it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from gatlabel.errors import InputError

Options = dict[str, float]

#: What is chosen from on frozen features. ``shrinkage`` does nothing to heads that have nothing
#: to shrink; they try as many settings all the same. The rates are far apart, for features differ:
#: those of an encoder cut at stride 16, few and much alike, lose five points at a rate of 3e-3. The
#: last shrinkage is to leave a linear head in wide features too: 0.999 still let what neighbours
#: lend outweigh a label's own classifier where it had two positives in 1,280 features.
FROZEN_SPACE: dict[str, tuple[float, ...]] = {
    "lr": (1e-3, 5e-3, 3e-2),
    "weight_decay": (0.1, 1.0, 10.0),
    "hold": (0.1, 3.0, 30.0),
    "shrinkage": (0.9, 0.99, 0.9999),
}
#: End to end, as factors on the recipe's own options.
END_TO_END_SPACE: dict[str, tuple[float, ...]] = {
    "lr": (0.3, 1.0, 3.0),
    "weight_decay": (0.1, 1.0, 10.0),
    "shrinkage": (0.1, 1.0, 10.0),
}
#: All combinations of three values each.


def trial_options(space: Mapping[str, Sequence[float]], count: int, seed: int = 0) -> list[Options]:
    """Lists the settings to try, the same for every method.

    The first is the middle of every range. Pairs of learning rate and weight decay, which concern
    every head, are gone through once in random order before any comes again, with shrinkages in a
    Latin square: each meets every rate and every decay once. So heads with nothing to shrink try
    as many different settings as others. Hold goes with weight decay: a weight has one of them.

    Args:
        space: Three values each of ``lr``, ``weight_decay``, ``shrinkage`` and, on frozen features,
            ``hold``, ascending.
        count: How many.
        seed: Seed of the order.

    Returns:
        ``count`` settings, at most :data:`MOST_TRIALS`.
    """
    cells = np.random.default_rng(seed).permutation(9).tolist()
    cells.sort(key=lambda cell: cell != 4)  # the middle first
    found = []
    for turn in range(3):
        for cell in cells:
            rate, decay = divmod(cell, 3)
            shrinkage = (decay - rate + 1 + turn) % 3
            place = {"lr": rate, "weight_decay": decay, "hold": decay, "shrinkage": shrinkage}
            found.append({name: values[place[name]] for name, values in space.items()})
    return found[:count]


def best_trial(scores: Mapping[int, Sequence[float]], trials: Sequence[Mapping[str, float]]) -> int:
    """Returns the trial that tuning keeps: the most held back of those that may be the best.

    The best is the one with the highest mean mAP. Trials that a paired one-sided t-test over the
    tuning seeds does not find worse (p > 0.05) cannot be told from it; of these the one with the
    largest weight decay is kept, then with the largest shrinkage, then with the lowest rate. This
    is the one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984,
    section 3.4.3) on paired differences, for as few as two or three: their standard error is itself
    hardly known. Otherwise methods that could share their settings get settings that differ by
    chance, and the chance shows in their difference. With one tuning seed the best is kept.

    Args:
        scores: By trial, mAP on the tuning split, a value a tuning seed.
        trials: The settings, by number.

    Raises:
        InputError: If a score is NaN: it was taken where no image has a label.
    """
    unjudged = [k for k in sorted(scores) if np.isnan(scores[k]).any()]
    if unjudged:
        raise InputError(
            f"trial {unjudged[0]} has no mAP on the tuning split, where no image had a label: "
            "tune on images with labels, into another output"
        )
    best = max(sorted(scores), key=lambda trial: float(np.mean(scores[trial])))
    behind = {k: np.subtract(scores[best], scores[k]) for k in scores}
    alike = [k for k, gap in behind.items() if k == best or gap.mean() <= _within_chance(gap)]
    kept = ("weight_decay", 1), ("shrinkage", 1), ("lr", -1)
    return max(sorted(alike), key=lambda k: [sign * trials[k][name] for name, sign in kept])


def _within_chance(values: NDArray[np.float64]) -> float:
    """The largest mean of these that a t-test at 5 % would not find above zero."""
    if len(values) == 1:
        return 0.0
    return float(stdtrit(len(values) - 1, 0.95) * values.std(ddof=1) / len(values) ** 0.5)
