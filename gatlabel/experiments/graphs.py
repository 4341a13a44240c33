"""The label graph of a method, from counts of the training pictures it may see."""

from __future__ import annotations

import dataclasses
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.experiments.methods import Method
from gatlabel.graph import VARIANTS, Cooccurrence, IsolatedLabelsWarning, LabelGraph, permuted
from gatlabel.missing import Completion
from gatlabel.training.building import GRAPH_FILES, build_completion, build_graph
from gatlabel.training.config import TrainConfig
from gatlabel.yaml_reading import parse_yaml

CONTROLS = ("identity", "random")


def parse_graph(text: str) -> tuple[str, dict[str, Any]]:
    """Splits ``conditional:given=source:top_k=3`` into the variant and its options.

    The file of a graph, which may have a colon in its path, comes back whole.

    Raises:
        InputError: If an option has no value, or the graph is one of the controls.
    """
    if _is_file_name(text):
        return text, {}
    name, *parts = text.split(":")
    if name in CONTROLS:
        raise InputError(f"graph {name!r} is a control and always in: leave it out")
    options = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise InputError(f"graph {text!r}: write options as variant:name=value, got {part!r}")
        try:
            options[key.strip()] = parse_yaml(value, "the value")
        except InputError:
            raise InputError(f"graph {text!r}: {value!r} is no value of {key.strip()}") from None
    return name, options


def _is_file_name(text: str) -> bool:
    """Tells ``C:/graphs/pets.json`` from ``knn:vectors=words.txt``, which ends like a file too."""
    name, _, rest = text.partition(":")
    variant = name in VARIANTS or re.match(r"\w+=", rest)
    return not variant and Path(text).suffix in GRAPH_FILES


def make_graph(text: str, counts: Cooccurrence, train: TrainConfig) -> LabelGraph:
    """Builds the graph that the caller named: a variant with options, or a file.

    Args:
        text: See :func:`parse_graph`, or the file of a graph.
        counts: Counts of the training targets.
        train: Options of graphs and node features, for all variants that take them.

    Raises:
        InputError: If there is no such variant or file, or an option does not fit.
    """
    with warnings.catch_warnings():
        # isolated labels are told once, by the plan, not by each of hundreds of runs
        warnings.simplefilter("ignore", IsolatedLabelsWarning)
        name, options = parse_graph(text)
        if name not in VARIANTS and not options:  # a file, or an error
            own = dataclasses.replace(
                train, graph=text, graph_given=None, graph_threshold=None, graph_top_k=None
            )
            return build_graph(own, counts)
        options = {**_for_all(name, train), **options}
        try:
            return counts.graph(name, **options)
        except TypeError as error:  # text for a number: variants compare before they check
            raise InputError(
                f"graph {text!r}: an option has a value of the wrong type ({error})"
            ) from error


def _for_all(variant: str, train: TrainConfig) -> dict[str, Any]:
    """The options of graphs that training has, as far as a variant takes them."""
    given = {
        "given": train.graph_given,
        "threshold": train.graph_threshold,
        "top_k": train.graph_top_k,
        "k": train.graph_top_k,
        "vectors": train.node_features,
    }
    taken = inspect.signature(VARIANTS[variant]).parameters if variant in VARIANTS else ()
    return {name: v for name, v in given.items() if v is not None and name in taken}


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
        return VARIANTS["random"](counts, base=graph, seed=seed)  # as isolated as the graph is
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
