"""The treatment of unknown training targets, and the controls of completion by the graph."""

from __future__ import annotations

from torch import Tensor

from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.fitting import Completion
from gatlabel.experiments.graphs import with_edges
from gatlabel.graph import Cooccurrence, LabelGraph


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
    from gatlabel.training.completion import make_completion

    edges = with_edges(graph, who.completion or "own", counts, seed)
    completion: Completion = make_completion(who.unknown, targets, edges)
    return completion
