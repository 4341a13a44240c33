"""ML-kNN: log-odds from the labels of the nearest training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import unknown_choice
from gatlabel.nn.heads.fitted.base import FittedHead

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

METRICS = ("euclidean", "cosine")


class MLkNNHead(FittedHead):
    """ML-kNN (Zhang and Zhou, *ML-KNN*, Pattern Recognition 40, 2007).

    The log-odds of a label depend on how many of the k nearest training images have it (eq. 2-3 of
    the paper). Only images for which the label is known are neighbours.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph to take the labels from instead; its edges are not used.
        images: Number of training images N.
        patterns: Number P of distinct sets of images for which a label is known.
        neighbours: Number k of neighbours.
        metric: ``euclidean``, or ``cosine``: between features of length one.

    Attributes:
        features: float32 ``(N, D)``, of the training images.
        present: bool ``(N, L)``: where a label is known to be present.
        known: bool ``(P, N)``: the sets of images.
        pattern: int64 ``(L,)``: the set of each label.
        evidence: float64 ``(L, k + 1)``: log-odds by the number of neighbours with the label.

    Raises:
        InputError: If the metric is unknown.

    Shapes:
        features ``(..., D)`` -> logits ``(..., L)``.
    """

    kind = "mlknn"
    features: Tensor
    present: Tensor
    known: Tensor
    pattern: Tensor
    evidence: Tensor

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        images: int,
        patterns: int = 1,
        neighbours: int = 10,
        metric: str = "euclidean",
    ) -> None:
        super().__init__(in_features, labels, graph=graph)
        if metric not in METRICS:
            raise unknown_choice("metric", metric, METRICS)
        self.metric = metric
        count = self.out_features
        self.register_buffer("features", torch.zeros(images, in_features))
        self.register_buffer("present", torch.zeros(images, count, dtype=torch.bool))
        self.register_buffer("known", torch.ones(patterns, images, dtype=torch.bool))
        self.register_buffer("pattern", torch.zeros(count, dtype=torch.int64))
        evidence = torch.zeros(count, neighbours + 1, dtype=torch.float64)
        self.register_buffer("evidence", evidence)

    @property
    def config(self) -> dict[str, Any]:
        """The options, as primitives."""
        return {
            **super().config,
            "images": self.features.shape[0],
            "patterns": self.known.shape[0],
            "neighbours": self.evidence.shape[1] - 1,
            "metric": self.metric,
        }

    def log_odds(self, features: Tensor) -> Tensor:
        """Looks up the counts among the neighbours; see :meth:`FittedHead.log_odds`."""
        count = self.counts(self.distances(features))
        return self.evidence.gather(1, count.T).T

    def distances(self, features: Tensor) -> Tensor:
        """Returns squared distances ``(B, N)`` to the training images, up to a term per row."""
        theirs = self.features.double()
        if self.metric == "cosine":
            features, theirs = F.normalize(features, dim=1), F.normalize(theirs, dim=1)
        return theirs.square().sum(1) - 2 * features @ theirs.T

    def counts(self, distances: Tensor) -> Tensor:
        """Counts the neighbours with each label, int64 ``(B, L)``.

        Args:
            distances: ``(B, N)``; infinite where an image cannot be a neighbour.
        """
        count = distances.new_zeros(distances.shape[0], self.out_features, dtype=torch.int64)
        most = self.evidence.shape[1] - 1
        for number, known in enumerate(self.known):
            judged = distances.masked_fill(~known, torch.inf)
            near, image = judged.topk(most, dim=1, largest=False)
            found = self.present[image] & near.isfinite()[..., None]  # (B, k, L)
            count = torch.where(self.pattern == number, found.sum(1), count)
        return count
