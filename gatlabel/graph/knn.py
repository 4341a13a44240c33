"""Label graphs of nearest neighbours: labels whose vectors are alike."""

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

_BLOCK_VALUES = 1 << 22  # cosines held at a time


@dataclass(frozen=True)
class KNN(Variant):
    """Connects every label to the k labels whose vectors are nearest by cosine.

    ``w(j -> i) = cos(x_i, x_j)``, where positive. A label without a vector (all zeros) has no
    edges. With vectors that come from elsewhere, such as those of the labels' names, the relation
    is ``similarity``: the labels are alike. With ``"svd"``, which is made of these counts, it is
    ``cooccurrence``: the labels occur with the same others. There are k nearest labels even where
    none is near: ``threshold`` leaves out those that are too far.

    Attributes:
        vectors: ``(L, F)``, a mapping or file of vectors by name, ``"names"`` (what the names mean;
            extra ``names``), or ``"svd"``; see :func:`gatlabel.graph.node_features.resolve`.
        k: In-neighbours of every label, at most.
        threshold: Least cosine of an edge, if any: at most 1.
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
        """Makes the graph; see :meth:`Variant.build`.

        Raises:
            InputError: If the vectors do not fit the labels.
        """
        from gatlabel.graph.label_graph import LabelGraph
        from gatlabel.graph.node_features import resolve

        features, learned = resolve(self.vectors, LabelGraph(counts.labels, [], counts=counts))
        if learned:
            raise InputError("knn needs label vectors: learned ones are not there yet")
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
    """Finds for every label the k others of the largest positive cosine.

    Args:
        vectors: ``(L, F)``; a row of zeros has no neighbours.
        labels: The L labels; among equal cosines the name decides.
        k: Neighbours of every label, at least 1.

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
        # rounded: the last bits depend on the order of the labels, and ties should not
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
