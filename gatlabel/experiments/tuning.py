"""The settings of the optimiser that every contender tries, and which of them it keeps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

Options = dict[str, float]

#: What is chosen from on frozen features. ``shrinkage`` does nothing to heads that have nothing
#: to shrink; they try as many settings all the same.
FROZEN_SPACE: dict[str, tuple[float, ...]] = {
    "lr": (3e-4, 1e-3, 3e-3),
    "weight_decay": (0.1, 1.0, 10.0),
    "shrinkage": (10.0, 100.0, 1000.0),
}
#: End to end, as factors on the recipe's own options.
END_TO_END_SPACE: dict[str, tuple[float, ...]] = {
    "lr": (0.3, 1.0, 3.0),
    "weight_decay": (0.1, 1.0, 10.0),
    "shrinkage": (0.1, 1.0, 10.0),
}


def trial_options(space: Mapping[str, Sequence[float]], count: int, seed: int = 0) -> list[Options]:
    """Draws the settings to try, the same for every contender.

    The first is the middle of every range. Then pairs of learning rate and weight decay, which
    concern every head, are gone through once in random order before any comes again, each with
    another shrinkage: so heads with nothing to shrink try as many different settings as others.

    Args:
        space: Values by option, the middle one the default; ``shrinkage`` among them.
        count: How many.
        seed: Seed of the order.

    Returns:
        ``count`` settings, or all of the space if that is fewer.
    """
    middle = {name: values[len(values) // 2] for name, values in space.items()}
    general = {name: values for name, values in space.items() if name != "shrinkage"}
    pairs = [dict(zip(general, v, strict=True)) for v in itertools.product(*general.values())]
    rng = np.random.default_rng(seed)
    order = [pairs[k] for k in rng.permutation(len(pairs))]
    order.sort(key=lambda pair: pair.items() <= middle.items())  # tried already: last
    shrinkage = rng.permutation(space["shrinkage"]).tolist()
    found = [middle]
    for turn in range(len(shrinkage)):
        for k, pair in enumerate(order):
            trial = {**pair, "shrinkage": shrinkage[(k + turn) % len(shrinkage)]}
            if trial != middle:
                found.append(trial)
    return found[:count]


def best_trial(scores: Mapping[int, Sequence[float]]) -> int:
    """Returns the trial with the highest mean mAP over tuning seeds; of equals the first."""
    return max(sorted(scores), key=lambda trial: float(np.mean(scores[trial])))
