"""The graph ``similarity`` of a benchmark, chosen from the training data of each run."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.baselines.similarity.assembly import assembled
from gatlabel.baselines.similarity.controls import with_permuted_names, with_random_labels
from gatlabel.baselines.similarity.edges import share_as_chosen
from gatlabel.experiments.outcome import Reasons
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.training.config import TrainConfig
from gatlabel.training.similarity import choose, replaces_graph

MOST_KEPT = 16  # size of the cache of choices in a process

_found: OrderedDict[bytes, SimilarityChoice] = OrderedDict()


def chosen_similarity(
    features: Tensor,
    targets: Tensor,
    counts: Cooccurrence,
    train: TrainConfig,
    seed: int,
    groups: Sequence[str] | None = None,
) -> SimilarityChoice:
    """Chooses as ``gatlabel train`` does; once for all methods with the same training data.

    Labels share nothing if similarity gains too little to replace the co-occurrence graph there.

    Args:
        features: ``(N, D)``, pooled, of the training images.
        targets: ``(N, L)`` of these, -1 for unknown.
        counts: Their label counts.
        train: Label vectors and cache.
        seed: Seed of folds and permutations.
        groups: The group of each image; images of one group are left out together.
    """
    vectors = getattr(train.head, "node_features", "svd")
    hierarchy = getattr(train.head, "hierarchy", None)
    hashed = hashlib.sha256(repr((seed, vectors, hierarchy, tuple(counts.names))).encode())
    for part in (features, targets):
        hashed.update(np.ascontiguousarray(part.numpy()).tobytes())
    key = hashed.digest()
    if key not in _found:
        config = train.with_options({"run.seed": seed})
        found = choose(config, features, targets, counts, lambda line: None, groups)
        if not found.linear and not replaces_graph(found):
            found = assembled(targets, evidence=found.evidence)
        _found[key] = found
        if len(_found) > MOST_KEPT:
            _found.popitem(last=False)
    return _found[key]


def control_of(choice: SimilarityChoice, edges: str, seed: int) -> SimilarityChoice | None:
    """Returns the choice itself, or its control; ``None`` for no edges.

    A control has the strengths of the choice, and also averages classifiers or predicts them by a
    map, whichever the choice does.

    Args:
        choice: The choice.
        edges: As of a method.
        seed: Seed of the control.
    """
    if edges == "none":
        return None
    if edges == "random":
        return with_random_labels(choice, seed)
    return with_permuted_names(choice, seed) if edges == "permuted" else choice


def share(head: torch.nn.Module, choice: SimilarityChoice) -> bool:
    """Sets the strengths of a choice in a head on its edges, if the head shares classifiers.

    Returns:
        Whether it does.
    """
    if not isinstance(head, SharedClassifierHead) or head.mixing is None:
        return False
    share_as_chosen(head, choice)
    return True


def reasons_of(choice: SimilarityChoice, labels: LabelSet) -> Reasons:
    """Returns what was chosen and why, for seen labels and for others if there are any."""
    seen, other = choice.reasons(labels).items()
    return (seen,) if bool(choice.seen.all()) else (seen, other)
