"""The label graph of a method, from counts of the training images it may see."""

from __future__ import annotations

import warnings

from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.experiments.methods import Method
from gatlabel.graph import Cooccurrence, IsolatedLabelsWarning, LabelGraph, permuted, rewired
from gatlabel.graph.spec import GraphSpec
from gatlabel.missing import Completion
from gatlabel.training.building import build_completion
from gatlabel.training.config import TrainConfig

CONTROLS = ("identity", "random", "permuted")


def parse_graph(text: str) -> GraphSpec:
    """Reads the text form of a graph to compare.

    Raises:
        InputError: As :meth:`GraphSpec.parse`, or if the graph is one of the controls.
    """
    spec = GraphSpec.parse(text)
    if spec.name in CONTROLS:
        raise InputError(f"graph {text!r} is a control and always in: leave it out")
    return spec


def make_graph(text: str, counts: Cooccurrence) -> LabelGraph:
    """Builds the graph that the caller named: a variant with options, or a file.

    Args:
        text: See :meth:`GraphSpec.parse`.
        counts: Counts of the training targets.

    Raises:
        InputError: If there is no such variant or file, or an option does not fit.
    """
    with warnings.catch_warnings():
        # isolated labels are told once, by the plan, not by each of hundreds of runs
        warnings.simplefilter("ignore", IsolatedLabelsWarning)
        return parse_graph(text).build(counts)


def with_edges(graph: LabelGraph, edges: str, counts: Cooccurrence, seed: int) -> LabelGraph:
    """Returns the graph itself or its control; node features stay with the labels.

    Args:
        graph: The graph.
        edges: ``own``, ``ablated``, ``none``, ``random`` or ``permuted``.
        counts: The counts it was built from.
        seed: Seed of the rewiring or permutation; every seed of a run takes another.
    """
    if edges == "none":
        return counts.graph("identity")
    if edges == "random":
        return rewired(graph, seed)
    return permuted(graph, seed) if edges == "permuted" else graph


def control_is_the_graph(graph: LabelGraph, edges: str, counts: Cooccurrence) -> bool:
    """Whether a control changes nothing: rewiring a complete graph, permuting an even one."""
    other = with_edges(graph, edges, counts, seed=0)
    return bool((other.to_dense() == graph.to_dense()).all())


def complete_targets(
    method: Method,
    targets: Tensor,
    graph: LabelGraph,
    counts: Cooccurrence,
    train: TrainConfig,
    seed: int,
) -> Completion | None:
    """Makes what replaces unknown targets during training; ``None`` where they are ignored.

    Args:
        method: The method; ``completion`` says which edges completion may use.
        targets: ``(N, L)``, -1 for unknown.
        graph: The method's label graph.
        counts: Of the same targets.
        train: Options that hold for all methods.
        seed: Of random edges.
    """
    edges = with_edges(graph, method.completion or "own", counts, seed)
    return build_completion(train, method.unknown, targets, edges)
