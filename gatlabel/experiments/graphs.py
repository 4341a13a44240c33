"""The label graph of a method, built from counts of its training images."""

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
    """Parses the text form of a graph to compare.

    Raises:
        InputError: As :meth:`GraphSpec.parse`, or if the graph is one of the controls.
    """
    spec = GraphSpec.parse(text)
    if spec.name in CONTROLS:
        raise InputError(f"graph {text!r} is a control, which is always included: omit it")
    return spec


def make_graph(text: str, counts: Cooccurrence) -> LabelGraph:
    """Builds the graph given by the caller: a variant with options, or a file.

    Args:
        text: See :meth:`GraphSpec.parse`.
        counts: Counts of the training targets.

    Raises:
        InputError: If there is no such variant or file, or an option is wrong.
    """
    with warnings.catch_warnings():
        # isolated labels are reported once, by the plan, not by each of hundreds of runs
        warnings.simplefilter("ignore", IsolatedLabelsWarning)
        return parse_graph(text).build(counts)


def with_edges(graph: LabelGraph, edges: str, counts: Cooccurrence, seed: int) -> LabelGraph:
    """Returns the graph itself or its control; node features keep their labels.

    Args:
        graph: The graph.
        edges: ``own``, ``ablated``, ``none``, ``random`` or ``permuted``.
        counts: The counts from which it was built.
        seed: Seed of the rewiring or permutation; it differs between the seeds of a run.
    """
    if edges == "none":
        return counts.graph("identity")
    if edges == "random":
        return rewired(graph, seed)
    return permuted(graph, seed) if edges == "permuted" else graph


def control_is_the_graph(graph: LabelGraph, edges: str, counts: Cooccurrence) -> bool:
    """Whether a control equals the graph, such as the rewiring of a complete graph."""
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
    """Creates the treatment of unknown targets in training; ``None`` if they are ignored.

    Args:
        method: The method; ``completion`` selects the edges that completion may use.
        targets: ``(N, L)``, -1 for unknown.
        graph: The method's label graph.
        counts: Counts of the same targets.
        train: Options of all methods.
        seed: Seed of random edges.
    """
    edges = with_edges(graph, method.completion or "own", counts, seed)
    return build_completion(train, method.unknown, targets, edges)
