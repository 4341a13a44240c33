"""The label graph of a contender, from counts of the training pictures it may see."""

from __future__ import annotations

import warnings
from typing import Any

from gatlabel.errors import InputError
from gatlabel.graph import VARIANTS, Cooccurrence, IsolatedLabelsWarning, LabelGraph, permuted
from gatlabel.training.building import build_graph
from gatlabel.training.building import parse_graph as training_graph
from gatlabel.training.config import TrainConfig

CONTROLS = ("identity", "random")


def parse_graph(text: str) -> tuple[str, dict[str, Any]]:
    """As :func:`gatlabel.training.building.parse_graph`, but no control.

    Raises:
        InputError: If an option has no value, or the graph is one of the controls.
    """
    name, options = training_graph(text)
    if name in CONTROLS:
        raise InputError(f"graph {name!r} is a control and always in: leave it out")
    return name, options


def make_graph(text: str, counts: Cooccurrence) -> LabelGraph:
    """Builds the graph that the caller named: a variant with options, or a file.

    Args:
        text: See :func:`parse_graph`, or the file of a graph.
        counts: Counts of the training targets.

    Raises:
        InputError: If there is no such variant or file, or an option does not fit.
    """
    with warnings.catch_warnings():
        # isolated labels are told once, by the plan, not by each of hundreds of runs
        warnings.simplefilter("ignore", IsolatedLabelsWarning)
        name, options = parse_graph(text)
        if name not in VARIANTS:  # a file, or an error
            return build_graph(TrainConfig(graph=text), counts)
        try:
            return counts.graph(name, **options)
        except TypeError as error:  # text for a number: variants compare before they check
            raise InputError(
                f"graph {text!r}: an option has a value of the wrong type ({error})"
            ) from error


def with_edges(graph: LabelGraph, edges: str, counts: Cooccurrence, seed: int) -> LabelGraph:
    """Returns the graph itself or its control; node features stay with the labels.

    Args:
        graph: The graph.
        edges: ``own``, ``cut``, ``none``, ``random`` or ``permuted``.
        counts: The counts it was built from.
        seed: Seed of the rewiring or permutation; every seed of a run takes another.
    """
    if edges == "none":
        return counts.graph("identity")
    if edges == "random":
        return VARIANTS["random"](counts, base=graph, seed=seed)  # as isolated as the graph is
    return permuted(graph, seed) if edges == "permuted" else graph


def control_is_the_graph(graph: LabelGraph, edges: str, counts: Cooccurrence) -> bool:
    """Whether a control changes nothing: rewiring a complete graph, permuting an even one."""
    other = with_edges(graph, edges, counts, seed=0)
    return bool((other.to_dense() == graph.to_dense()).all())
