"""The treatment of unknown training targets, and the controls of completion by the graph."""

from __future__ import annotations

from torch import Tensor

from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.graphs import with_edges
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.missing import Completion
from gatlabel.training.building import build_completion
from gatlabel.training.config import TrainConfig


def complete_targets(
    who: Contender,
    targets: Tensor,
    graph: LabelGraph,
    counts: Cooccurrence,
    train: TrainConfig,
    seed: int,
) -> Completion | None:
    """Makes what replaces unknown targets during training; ``None`` where they are ignored.

    Args:
        who: The contender; ``completion`` says which edges completion may use.
        targets: ``(N, L)``, -1 for unknown.
        graph: The contender's label graph.
        counts: Of the same targets.
        train: Options that hold for all contenders.
        seed: Of random edges.
    """
    edges = with_edges(graph, who.completion or "own", counts, seed)
    return build_completion(train, who.unknown, targets, edges)
