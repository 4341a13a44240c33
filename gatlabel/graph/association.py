"""Label graphs whose edge weights measure statistical association between labels.

In the formulas, n_i is the number of images with label i, M_ij the number with both i and j, and N
the number of all images. Probabilities are ratios of counts over the images in which the labels
concerned are known. An edge j -> i lets label j contribute evidence to label i. Two labels that
never occur together never get an edge.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gatlabel.graph.variant import Variant
from gatlabel.values import finite_number, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph
    from gatlabel.graph.pair_table import PairTable

DEFAULT_TOP_K = 5


@dataclass(frozen=True)
class Association(Variant):
    """Weights edges by a statistic of the two labels and keeps the strongest edges.

    Attributes:
        threshold: Keep edges of at least this weight, 0 or more.
        top_k: Keep at most this many in-edges per target, the heaviest. The default is 5 if
            neither ``threshold`` nor ``top_k`` is given; then every label with a candidate edge
            keeps one.
        min_support: Drop pairs that occur in fewer images than this; at least 1.
    """

    threshold: float | None = None
    top_k: int | None = None
    min_support: int = 1
    most: ClassVar[float] = 1.0  # the largest weight
    least: ClassVar[float] = 0.0  # the least weight that means association

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None:
            finite_number(self.threshold, "threshold", 0, self.most)
        if self.top_k is not None:
            whole_number(self.top_k, "top_k", 1)
        whole_number(self.min_support, "min_support", 1)

    def weigh(self, counts: Counts, pairs: PairTable) -> NDArray[np.float64]:
        """Returns the weight of each candidate edge, ``(P,)``."""
        raise NotImplementedError

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        import numpy as np

        from gatlabel.graph.label_graph import LabelGraph
        from gatlabel.graph.pair_table import pair_table
        from gatlabel.graph.selection import strongest

        options: dict[str, Any] = dataclasses.asdict(self)
        if self.threshold is None and self.top_k is None:
            options["top_k"] = DEFAULT_TOP_K
        pairs = pair_table(counts, self.min_support)
        weight = self.weigh(counts, pairs)
        kept = strongest(
            counts.labels,
            pairs.source,
            pairs.target,
            weight,
            threshold=max(self.least, self.threshold or 0.0),
            top_k=options["top_k"],
            support=pairs.count,
        )
        edges = np.stack([pairs.source[kept], pairs.target[kept]])
        return LabelGraph(
            counts.labels, edges, weight[kept], variant=self.name, options=options, counts=counts
        )


@dataclass(frozen=True)
class Conditional(Association):
    """Weights edges by a conditional probability of the two labels.

    ``given="source"`` weights by ``P(i|j) = M_ij / n_j``: the presence of j is evidence for i.
    ``given="target"`` weights by ``P(j|i) = M_ij / n_i``: rare labels receive evidence from the
    frequent labels they occur with. Neither is right a priori. With smoothing s,
    ``P(i|j) = (M_ij + s·P(i)) / (n_j + s)`` (the m-estimate, Cestnik 1990): a probability estimated
    from few images shrinks towards the label's overall frequency.

    Attributes:
        given: Which end of the edge the probability is conditioned on.
        smoothing: s, a number of images, 0 or more.
    """

    name: ClassVar[str] = "conditional"
    given: Literal["source", "target"] = "target"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        finite_number(self.smoothing, "smoothing", 0)

    def weigh(self, counts: Counts, pairs: PairTable) -> NDArray[np.float64]:
        """Returns ``P(i|j)`` or ``P(j|i)``."""
        by_source, s = self.given == "source", self.smoothing
        if not s:
            return pairs.given_source() if by_source else pairs.given_target()
        marginal = counts.label_counts / counts.known.clip(min=1)
        other = pairs.target if by_source else pairs.source
        present = pairs.source_present if by_source else pairs.target_present
        weight: NDArray[np.float64] = (pairs.count + s * marginal[other]) / (present + s)
        return weight


@dataclass(frozen=True)
class NPMI(Association):
    """Weights edges by normalised pointwise mutual information; only positive values are kept.

    ``NPMI_ij = ln(P(i,j) / (P(i) P(j))) / −ln P(i,j)`` (Bouma 2009). The maximum 1 means that the
    two labels occur only together, 0 that they co-occur no more often than chance. The weights are
    symmetric before ``top_k``. NPMI favours rare pairs: raise ``min_support`` if labels are noisy.
    The counts must include the number of images.
    """

    name: ClassVar[str] = "npmi"
    least: ClassVar[float] = 1e-12

    def weigh(self, counts: Counts, pairs: PairTable) -> NDArray[np.float64]:
        """Returns ``NPMI_ij``."""
        import numpy as np

        pmi, joint = pairs.pmi(counts.require_images("npmi"))
        everywhere = joint == 0  # both labels in every image: no information, and 0 / 0
        return np.where(everywhere, 0.0, pmi / np.where(everywhere, 1.0, -joint))


@dataclass(frozen=True)
class Lift(Association):
    """Weights edges by lift, where it exceeds 1.

    ``lift_ij = P(i,j) / (P(i) P(j))`` is how many times more often than by chance the two labels
    occur together. It is symmetric before ``top_k``, unbounded, and large for rare pairs. The
    counts must include the number of images.
    """

    name: ClassVar[str] = "lift"
    most: ClassVar[float] = math.inf
    least: ClassVar[float] = 1.0 + 1e-12

    def weigh(self, counts: Counts, pairs: PairTable) -> NDArray[np.float64]:
        """Returns ``lift_ij``."""
        import numpy as np

        weight: NDArray[np.float64] = np.exp(pairs.pmi(counts.require_images("lift"))[0])
        return weight
