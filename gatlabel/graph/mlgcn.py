"""The two label graphs of ML-GCN: as its code builds it, and as its paper describes it.

Chen, Wei, Wang and Guo, "Multi-Label Image Recognition with Graph Convolutional Networks", CVPR
2019. The two differ in the direction of the messages, which the code transposes, and in scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gatlabel.errors import InputError
from gatlabel.graph.variant import Variant
from gatlabel.values import finite_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph


@dataclass(frozen=True)
class MLGCN(Variant):
    """Common base of the two ML-GCN variants.

    Attributes:
        tau: Threshold on the conditional probability, above 0, at most 1.
        p: Weight shared among the in-neighbours of a label, 0 to 1.
    """

    tau: float = 0.4
    p: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tau <= 1:
            raise InputError(f"tau={self.tau}: must be above 0 and at most 1")
        finite_number(self.p, "p", 0, 1)

    def _graph(
        self,
        counts: Counts,
        source: NDArray[np.int64],
        target: NDArray[np.int64],
        weight: NDArray[np.float64],
        own: NDArray[np.float64],
    ) -> LabelGraph:
        """Adds self-loops with weights ``own (L,)``."""
        import numpy as np

        from gatlabel.graph.label_graph import LabelGraph

        labels = np.arange(len(counts.labels))
        return LabelGraph(
            counts.labels,
            np.stack([np.r_[source, labels], np.r_[target, labels]]),
            np.r_[weight, own],
            self_loops=True,
            variant=self.name,
            options={"tau": self.tau, "p": self.p},
            counts=counts,
        )


@dataclass(frozen=True)
class MLGCNCode(MLGCN):
    """The adjacency matrix used in ML-GCN's published code.

    With ``P_ij = M_ij / n_i``: ``B = 1[P >= tau]``; ``C = p·B / (column sums of B + 1e-6) + I``;
    ``d = (row sums of C)^(−1/2)``; ``A = diag(d) Cᵀ diag(d)``, and ``to_dense()`` is A. Messages
    pass j -> i where ``P(i|j) >= tau``: the source implies the target.

    With the published counts of COCO-2014 and VOC2007, 57 of 80 and 18 of 20 labels have no
    neighbour. A label that never occurs has only its self-loop (the original gives NaN).
    """

    name: ClassVar[str] = "mlgcn_code"

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        import numpy as np

        from gatlabel.graph.pair_table import pair_table

        pairs = pair_table(counts)
        kept = pairs.given_source() >= self.tau
        source, target = pairs.source[kept], pairs.target[kept]
        L = len(counts.labels)
        # C[j, i] of the edge j -> i
        weight = self.p / (np.bincount(target, minlength=L)[target] + 1e-6)
        d = (1.0 + np.bincount(source, weight, minlength=L)) ** -0.5
        return self._graph(counts, source, target, d[target] * weight * d[source], d * d)


@dataclass(frozen=True)
class MLGCNPaper(MLGCN):
    """The re-weighted correlation matrix of ML-GCN's paper (equations 7 and 8).

    With ``P_ij = M_ij / n_i``: ``B_ij = 1[P_ij >= tau]``, off the diagonal;
    ``A_ij = p·B_ij / Σ_k B_ik``, ``A_ii = 1 − p``, and ``to_dense()`` is A. Messages pass j -> i
    where ``P(j|i) >= tau``: the target implies the source.

    With the published counts of COCO-2014 and VOC2007, 15 of 80 and 15 of 20 labels have no
    neighbour; such a label keeps only its own vector, times 1 − p.
    """

    name: ClassVar[str] = "mlgcn_paper"
    p: float = 0.2

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        import numpy as np

        from gatlabel.graph.pair_table import pair_table

        pairs = pair_table(counts)
        kept = pairs.given_target() >= self.tau
        source, target = pairs.source[kept], pairs.target[kept]
        L = len(counts.labels)
        weight = self.p / np.bincount(target, minlength=L)[target]
        return self._graph(counts, source, target, weight, np.full(L, 1.0 - self.p))
