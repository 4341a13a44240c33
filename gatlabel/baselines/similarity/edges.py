"""The chosen similarity as a label graph, for heads that share classifiers along its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.baselines.similarity.choice import SimilarityChoice
from gatlabel.graph import LabelGraph
from gatlabel.labels import LabelSet

if TYPE_CHECKING:
    from gatlabel.graph import Cooccurrence
    from gatlabel.nn.heads.shared_classifier import SharedClassifierHead


def similarity_graph(
    choice: SimilarityChoice, labels: LabelSet, counts: Cooccurrence | None = None
) -> LabelGraph:
    """Returns the edges along which labels share classifiers; none at strength 0.

    The weight of ``j -> i`` is ``κ_i s_ij``. Heads divide by the sum of a label's in-edges, so
    they also need the strengths: :func:`share_as_chosen`.

    Args:
        choice: The choice.
        labels: Its L labels.
        counts: The counts to store with the graph.
    """
    weight = choice.strengths()[:, None] * choice.similarity
    return LabelGraph.from_dense(
        weight.float(), labels, variant="similarity", relation="similarity", counts=counts
    )


def share_as_chosen(head: SharedClassifierHead, choice: SimilarityChoice) -> None:
    """Sets the strengths of a head on :func:`similarity_graph`; call it before initialisation.

    ``head.mixing_matrix()`` is then that of the choice, in float32. A head without edges already
    shares nothing, as with strength 0.

    Raises:
        InputError: If the head has other labels.
    """
    if not choice.linear:
        head.set_strengths(choice.strengths())
