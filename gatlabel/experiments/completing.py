"""The treatment of unknown training targets, and the controls of completion by the graph."""

from __future__ import annotations

from torch import Tensor

from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.graphs import with_edges
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.training.completion import Completion, make_completion


def complete_targets(
    who: Contender, targets: Tensor, graph: LabelGraph, counts: Cooccurrence, seed: int
) -> Completion | None:
    """Makes what replaces unknown targets during training; ``None`` where they are ignored.

    Args:
        who: The contender; ``completion`` says which edges completion may use.
        targets: ``(N, L)``, -1 for unknown.
        graph: The contender's label graph.
        counts: Of the same targets.
        seed: Of random edges.
    """
    if who.unknown == "ignore":
        return None
    edges = with_edges(graph, who.completion or "own", counts, seed)
    return make_completion(who.unknown, targets, edges)
