"""Random forests as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatlabel.nn.heads.fitted.base import FittedHead, log_odds_of

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

LABELS_AT_ONCE = 64  # bounds the memory of a batch


class ForestHead(FittedHead):
    """A random forest (Breiman, *Random Forests*, Machine Learning 45, 2001).

    Each leaf stores the share of positives of each label; the probability of a label is the mean
    over its trees. Labels may share trees.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        trees: Total number of trees K.
        trees_per_label: Number of trees T per label.
        nodes: Nodes M of the largest tree.
        depth: Depth of the deepest tree.

    Attributes:
        feature: int64 ``(K, M)``: the feature that a node splits on.
        threshold: float32 ``(K, M)``: features up to this value go left. scikit-learn compares
            float32 features with a float64 threshold; the largest float32 number not above it
            gives the same decisions.
        left: int64 ``(K, M)``: the left child; a leaf points to itself.
        right: int64 ``(K, M)``: the right child; a leaf points to itself.
        tree: int64 ``(L, T)``: the trees of each label.
        share: float64 ``(L, T, M)``: the share of positives in a node.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "forest"
    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    tree: Tensor
    share: Tensor

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        trees: int,
        trees_per_label: int,
        nodes: int,
        depth: int,
    ) -> None:
        super().__init__(in_features, labels, graph=graph)
        self.depth = depth
        size = trees, nodes
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(size))
        each = self.out_features, trees_per_label
        self.register_buffer("tree", torch.zeros(each, dtype=torch.int64))
        self.register_buffer("share", torch.zeros(*each, nodes, dtype=torch.float64))

    @property
    def config(self) -> dict[str, Any]:
        """The options, as primitives."""
        return {
            **super().config,
            "trees": self.feature.shape[0],
            "trees_per_label": self.tree.shape[1],
            "nodes": self.feature.shape[1],
            "depth": self.depth,
        }

    def log_odds(self, features: Tensor) -> Tensor:
        """Follows every tree to a leaf; see :meth:`FittedHead.log_odds`."""
        leaf = self.leaves(features.float())
        parts = []
        for tree, share in zip(
            self.tree.split(LABELS_AT_ONCE), self.share.split(LABELS_AT_ONCE), strict=True
        ):
            where = leaf[:, tree]  # (B, l, T)
            first = torch.arange(tree.numel(), device=leaf.device).view_as(tree) * share.shape[-1]
            parts.append(share.flatten()[first + where].mean(-1))
        return log_odds_of(torch.cat(parts, 1))

    def leaves(self, features: Tensor) -> Tensor:
        """Returns the leaf of each tree for features float32 ``(B, D)``: ``(B, K)``."""
        trees, nodes = self.feature.shape
        first = torch.arange(trees, device=features.device) * nodes
        feature, threshold, left, right = (
            part.flatten() for part in (self.feature, self.threshold, self.left, self.right)
        )
        node = torch.zeros(features.shape[0], trees, dtype=torch.int64, device=features.device)
        for _ in range(self.depth):
            place = first + node
            goes_left = features.gather(1, feature[place]) <= threshold[place]
            node = torch.where(goes_left, left[place], right[place])
        return node
