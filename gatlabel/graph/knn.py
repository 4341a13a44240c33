"""Label graphs of nearest neighbours in a vector space of labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gatlabel.errors import InputError
from gatlabel.graph.variant import Variant
from gatlabel.values import finite_number, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph
    from gatlabel.labels import LabelSet

_BLOCK_VALUES = 1 << 22  # cosines in memory at a time


@dataclass(frozen=True)
class KNN(Variant):
    """Connects every label to the k labels with the nearest vectors by cosine similarity.

    ``w(j -> i) = cos(x_i, x_j)`` where it is positive. A label without a vector (all zeros) has no
    edges. With external vectors, such as those of the label names, the relation is
    ``similarity``. With ``"svd"``, which is computed from these counts, it is ``cooccurrence``:
    the labels occur with the same other labels. Every label has k nearest labels, however far
    they are; ``threshold`` drops distant ones.

    Attributes:
        vectors: ``(L, F)``, a mapping or file of vectors by name, ``"names"`` (embeddings of the
            label names; extra ``names``) or ``"svd"``; see
            :func:`gatlabel.graph.node_features.resolve`.
        k: Maximum number of in-neighbours per label.
        threshold: Smallest cosine of an edge, at most 1; no bound by default.
    """

    name: ClassVar[str] = "knn"
    vectors: Any = "svd"
    k: int = 5
    threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self.k, "k", 1)
        if self.threshold is not None:
            finite_number(self.threshold, "threshold", most=1)  # a cosine

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`.

        Raises:
            InputError: If the vectors do not match the labels.
        """
        from gatlabel.graph.label_graph import LabelGraph
        from gatlabel.graph.node_features import resolve

        features, learned = resolve(self.vectors, LabelGraph(counts.labels, [], counts=counts))
        if learned:
            raise InputError(
                "knn needs label vectors: learned vectors do not exist before training"
            )
        edges, weight = _nearest(features.numpy(), counts.labels, self.k)
        options: dict[str, Any] = {"k": self.k}
        if self.threshold is not None:
            near = weight >= self.threshold
            edges, weight = edges[:, near], weight[near]
            options["threshold"] = self.threshold
        vectors = self.vectors if isinstance(self.vectors, str | Path) else None
        return LabelGraph(
            counts.labels,
            edges,
            weight,
            variant=self.name,
            options={"vectors": "given" if vectors is None else Path(vectors).name, **options},
            relation="cooccurrence" if vectors == "svd" else "similarity",
            counts=counts,
        )


def _nearest(
    vectors: NDArray[np.floating], labels: LabelSet, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Finds the k other labels with the largest positive cosine for every label.

    Args:
        vectors: ``(L, F)``; a row of zeros has no neighbours.
        labels: The L labels; ties are broken by name.
        k: Neighbours per label, at least 1.

    Returns:
        Edges int64 ``(2, E)``, from the neighbour to the label, and cosines ``(E,)``.
    """
    import numpy as np

    from gatlabel.graph.selection import strongest

    L = len(labels)
    size = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = vectors / np.where(size > 0, size, 1.0)
    sources: list[NDArray[np.int64]] = []
    targets: list[NDArray[np.int64]] = []
    cosines: list[NDArray[np.float64]] = []
    step = max(1, _BLOCK_VALUES // max(L, 1))
    for start in range(0, L, step):
        # rounded, as the last bits depend on the label order and ties must not
        cosine = np.round(unit[start : start + step] @ unit.T, 12)
        rows = np.arange(len(cosine))
        cosine[rows, rows + start] = -np.inf
        place = max(L - k, 0)
        least = np.partition(cosine, place, axis=1)[:, place] if k < L else np.full(len(rows), 0.0)
        row, column = np.nonzero((cosine >= least[:, None]) & (cosine > 0))
        sources.append(column)
        targets.append(row + start)
        cosines.append(cosine[row, column])
    if not sources:
        return np.zeros((2, 0), np.int64), np.zeros(0)
    source, target = np.concatenate(sources), np.concatenate(targets)
    weight = np.concatenate(cosines)
    kept = strongest(labels, source, target, weight, top_k=k)
    return np.stack([source[kept], target[kept]]), weight[kept]
