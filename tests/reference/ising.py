"""The label model of scenes by enumeration of all 2^L label sets."""

import itertools

import numpy as np


def all_sets(count: int) -> np.ndarray:
    return np.array(list(itertools.product((0, 1), repeat=count)), dtype=float)


def probabilities(fields: np.ndarray, couplings: np.ndarray, competition: float) -> np.ndarray:
    """P of every label set, written out pair by pair."""
    count = len(fields)
    weights = []
    for y in all_sets(count):
        energy = sum(fields[i] * y[i] for i in range(count))
        for i in range(count):
            for j in range(i + 1, count):
                energy += (couplings[i, j] - competition) * y[i] * y[j]
        weights.append(np.exp(energy))
    return np.array(weights) / np.sum(weights)


def posterior(
    fields: np.ndarray,
    couplings: np.ndarray,
    competition: float,
    visible: np.ndarray,
    hidden: float,
) -> np.ndarray:
    """P(label present | exactly these labels are visible), by Bayes' rule over all label sets.

    Given a label set, each present label is visible with probability 1 - hidden, on its own.
    """
    prior = probabilities(fields, couplings, competition)
    joint = []
    for y, p in zip(all_sets(len(fields)), prior, strict=True):
        likelihood = 1.0
        for present, seen in zip(y, visible, strict=True):
            if present:
                likelihood *= (1 - hidden) if seen else hidden
            elif seen:
                likelihood = 0.0
        joint.append(p * likelihood)
    weights = np.array(joint) / np.sum(joint)
    return weights @ all_sets(len(fields))
