"""Controls for a choice of similarity: the same weights and strengths, between other labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from gatlabel.baselines.similarity.choice import SimilarityChoice


def with_permuted_names(choice: SimilarityChoice, seed: int) -> SimilarityChoice:
    """Returns the choice as if the names of its labels had been permuted.

    Seen labels exchange their names among themselves, and so do all others, each by a random cycle
    without fixed points (a single one keeps its name). Otherwise labels without known presences
    would get the classifiers of labels that have none either. The permuted weights are those that
    permuted label vectors would give, for averages and for the map. Strengths stay with the labels,
    but a label that gets the name of one without similar labels shares nothing.

    Args:
        choice: The choice.
        seed: Seed of the permutations.
    """
    generator = np.random.default_rng(seed)
    order = np.arange(len(choice.seen))
    for group in (choice.seen, ~choice.seen):
        cycle = generator.permutation(group.nonzero()[:, 0].numpy())
        order[cycle] = np.roll(cycle, -1)
    moved = torch.from_numpy(order)
    similarity, prediction = (
        part[moved][:, moved] for part in (choice.similarity, choice.prediction)
    )
    return dataclasses.replace(choice, similarity=similarity, prediction=prediction)


def with_random_labels(choice: SimilarityChoice, seed: int) -> SimilarityChoice:
    """Returns the choice with the weights of each label given to other labels, drawn at random.

    Each label keeps its strength and the size of its weights, of an average as of a map. The labels
    drawn are seen ones. With few labels all are similar to all, so there are no edges to swap, only
    weights.

    Args:
        choice: The choice.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng(seed)
    similarity = _shuffled_rows(choice.similarity, choice.seen, generator)
    prediction = torch.where(choice.seen[:, None], 0.0, similarity)
    if choice.map_penalty is not None:
        prediction = _shuffled_rows(choice.prediction, choice.seen, generator)
    return dataclasses.replace(choice, similarity=similarity, prediction=prediction)


def _shuffled_rows(weights: Tensor, seen: Tensor, generator: np.random.Generator) -> Tensor:
    """Permutes the weights of the seen labels within each row, except a label's own."""
    found = weights.clone()
    columns = seen.nonzero()[:, 0].numpy()
    for row in range(len(weights)):
        others = columns[columns != row]
        found[row, others] = weights[row, generator.permutation(others)]
    return found
