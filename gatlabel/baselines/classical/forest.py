"""Random forests, fitted by scikit-learn and turned into arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.baselines.classical.known import KnownTargets
from gatlabel.errors import require_extra
from gatlabel.nn.heads.fitted.forest import ForestHead

MOST_LEAVES = 2**15  # per tree; limits the size of a saved model


def fit_forest(
    features: Tensor,
    targets: Tensor,
    *,
    trees: int = 100,
    leaf: int = 1,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> ForestHead:
    """Fits random forests; labels that are known for the same images share trees.

    Args:
        features: ``(N, D)``; compared in float32.
        targets: ``(N, L)`` in [0, 1], -1 for unknown.
        trees: Number of trees of each label.
        leaf: Minimum number of images in a leaf.
        seed: Seed of the samples and features drawn for the trees.
        groups: Unused; part of the common interface.

    Returns:
        The head; a label without positives or negatives has its frequency in every leaf.
    """
    ensemble = require_extra("sklearn.ensemble", "classical")
    known = KnownTargets.of(targets)
    x = features.float().numpy()
    fitted: list[tuple[Tensor, list[Any]]] = []
    for number, labels in enumerate(known.patterns()):
        rows = known.known[:, labels[0]]
        y = known.present[rows][:, labels].numpy()
        forest = ensemble.RandomForestClassifier(
            n_estimators=trees,
            min_samples_leaf=leaf,
            max_leaf_nodes=None if len(x) <= MOST_LEAVES else MOST_LEAVES,
            random_state=seed + number,
        )
        forest.fit(x[rows.numpy()], y[:, 0] if len(labels) == 1 else y)
        fitted.append((labels, [each.tree_ for each in forest.estimators_]))
    return _as_head(fitted, features.shape[1], known.rates, trees)


def _as_head(
    fitted: list[tuple[Tensor, list[Any]]], width: int, rates: Tensor, trees: int
) -> ForestHead:
    every = [tree for _, those in fitted for tree in those]
    nodes = max([tree.node_count for tree in every], default=1)
    depth = max([tree.max_depth for tree in every], default=0)
    head = ForestHead(
        width,
        len(rates),
        trees=max(1, len(every)),
        trees_per_label=trees if every else 1,
        nodes=nodes,
        depth=depth,
    )
    head.share.copy_(rates[:, None, None].expand_as(head.share))
    for row, tree in enumerate(every):
        _copy_decisions(tree, row, head)
    first = 0
    for labels, those in fitted:
        head.tree[labels] = torch.arange(first, first + trees)
        for place, tree in enumerate(those):
            # (nodes, labels, classes): absent and present
            share = torch.from_numpy(tree.value[:, :, 1] / tree.value.sum(2)).T
            head.share[labels, place, : tree.node_count] = share
        first += trees
    return head


def _copy_decisions(tree: Any, row: int, head: ForestHead) -> None:
    count = tree.node_count
    own = np.arange(count)
    is_leaf = tree.children_left < 0
    parts = {
        "feature": np.where(is_leaf, 0, tree.feature),
        "threshold": np.where(is_leaf, 0.0, _below(tree.threshold)),
        "left": np.where(is_leaf, own, tree.children_left),
        "right": np.where(is_leaf, own, tree.children_right),
    }
    for name, values in parts.items():
        target: Tensor = getattr(head, name)
        target[row, :count] = torch.from_numpy(values).to(target.dtype)


def _below(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 numbers that do not exceed the thresholds."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
