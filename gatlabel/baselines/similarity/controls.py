"""Controls for a choice of similarity: the same weights and strengths, between other labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from gatlabel.baselines.similarity.choice import SimilarityChoice
from gatlabel.baselines.similarity.edges import similarity_graph
from gatlabel.baselines.similarity.sources import normalised
from gatlabel.graph import rewired
from gatlabel.labels import LabelSet


def with_permuted_names(choice: SimilarityChoice, seed: int) -> SimilarityChoice:
    """Returns the choice as if the names of its labels had been permuted.

    Seen labels exchange their names among themselves, and so do all others, each by a random cycle
    without fixed points (a single one keeps its name). Otherwise labels without known presences
    would get the classifiers of labels that have none either. The permuted weights are those that
    permuted label vectors would give, for averages and for the map. Strengths stay with the labels.

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
    """Returns the choice with its weights given to other labels, drawn at random.

    Edges are swapped as in :func:`~gatlabel.graph.rewired`: each label keeps its weights and the
    number of labels that it contributes to. The weights of a map are permuted within each row.
    Strengths stay with the labels.

    Args:
        choice: The choice.
        seed: Seed of the swaps and permutations.
    """
    names = LabelSet([str(k) for k in range(len(choice.seen))])
    edges = rewired(similarity_graph(choice, names), seed)
    similarity = normalised(edges.to_dense(torch.float64))
    prediction = torch.where(choice.seen[:, None], 0.0, similarity)
    if choice.map_penalty is not None:
        prediction = _shuffled_rows(choice.prediction, choice.seen, seed)
    return dataclasses.replace(choice, similarity=similarity, prediction=prediction)


def _shuffled_rows(weights: Tensor, seen: Tensor, seed: int) -> Tensor:
    """Permutes the weights of seen labels within each row of another label."""
    found, generator = weights.clone(), np.random.default_rng(seed)
    columns = seen.nonzero()[:, 0]
    for row in (~seen).nonzero()[:, 0].tolist():
        found[row, columns] = weights[row, torch.from_numpy(generator.permutation(columns.numpy()))]
    return found
