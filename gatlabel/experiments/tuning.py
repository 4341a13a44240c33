"""Optimiser settings that every method tries, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from gatlabel.errors import InputError

Options = dict[str, float]

#: The values on frozen features. ``shrinkage`` has no effect on heads without a residual, which try
#: the same number of settings. Learning rates cover a wide range, as features differ: those of an
#: encoder truncated at stride 16, few and similar, lose five points at a rate of 3e-3. The largest
#: shrinkage must keep the head linear with wide features, too: with 0.999, contributions of
#: neighbours still outweighed a label's own classifier that had two positives in 1,280 features.
FROZEN_SPACE: dict[str, tuple[float, ...]] = {
    "lr": (1e-3, 5e-3, 3e-2),
    "weight_decay": (0.1, 1.0, 10.0),
    "anchor_strength": (0.1, 3.0, 30.0),
    "shrinkage": (0.9, 0.99, 0.9999),
}
#: End to end, as factors on the recipe's options.
END_TO_END_SPACE: dict[str, tuple[float, ...]] = {
    "lr": (0.3, 1.0, 3.0),
    "weight_decay": (0.1, 1.0, 10.0),
    "shrinkage": (0.1, 1.0, 10.0),
}
#: All combinations of three values each.


def trial_options(space: Mapping[str, Sequence[float]], count: int, seed: int = 0) -> list[Options]:
    """Lists the settings to try, the same for every method.

    The first has the middle of every range. Pairs of learning rate and weight decay, which concern
    every head, all occur once in random order before any is repeated, with shrinkages in a Latin
    square: each occurs once with every rate and every decay. Heads without a residual thus try as
    many different settings as others. The anchor strength follows weight decay: a weight has one of
    them.

    Args:
        space: Three values each of ``lr``, ``weight_decay``, ``shrinkage`` and, on frozen features,
            ``anchor_strength``, ascending.
        count: Number of settings.
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
            place = {
                "lr": rate,
                "weight_decay": decay,
                "anchor_strength": decay,
                "shrinkage": shrinkage,
            }
            found.append({name: values[place[name]] for name, values in space.items()})
    return found[:count]


def best_trial(scores: Mapping[int, Sequence[float]], trials: Sequence[Mapping[str, float]]) -> int:
    """Returns the selected trial: the most regularised of those that may be the best.

    The best trial has the highest mean mAP. Trials that a paired one-sided t-test over the tuning
    seeds does not find worse (p > 0.05) are candidates. The selected one has the largest weight
    decay, then the largest shrinkage, then the lowest rate. This is the one-standard-error rule
    (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3) on paired
    differences, for as few as two or three, whose standard error itself is uncertain. Without it,
    methods that could share their settings get settings that differ by chance, which affects their
    difference. With one tuning seed the best trial is selected.

    Args:
        scores: mAP on the tuning split by trial, one value per tuning seed.
        trials: The settings, by number.

    Raises:
        InputError: If a score is NaN: the tuning images have no labels.
    """
    unjudged = [k for k in sorted(scores) if np.isnan(scores[k]).any()]
    if unjudged:
        raise InputError(
            f"trial {unjudged[0]} has no mAP on the tuning split, whose images have no labels: "
            "tune on images with labels, with another output"
        )
    best = max(sorted(scores), key=lambda trial: float(np.mean(scores[trial])))
    behind = {k: np.subtract(scores[best], scores[k]) for k in scores}
    alike = [k for k, gap in behind.items() if k == best or gap.mean() <= _within_chance(gap)]
    kept = ("weight_decay", 1), ("shrinkage", 1), ("lr", -1)
    return max(sorted(alike), key=lambda k: [sign * trials[k][name] for name, sign in kept])


def _within_chance(values: NDArray[np.float64]) -> float:
    """Returns the largest mean that a t-test at 5 % would not find above zero."""
    if len(values) == 1:
        return 0.0
    return float(stdtrit(len(values) - 1, 0.95) * values.std(ddof=1) / len(values) ** 0.5)
