"""Label graphs from hierarchies such as WordNet's is-a, whose inner nodes need not be labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import networkx
import numpy as np

from gatlabel.errors import InputError, nearest
from gatlabel.graph.edge_files import read_edges
from gatlabel.graph.label_graph import LabelGraph
from gatlabel.graph.selection import strongest
from gatlabel.labels import LabelSet


def hierarchy_graph(
    edges: Iterable[Sequence[Any]] | networkx.Graph,
    names: Iterable[str],
    *,
    max_distance: int = 4,
    top_k: int | None = 5,
) -> LabelGraph:
    """Connects labels that are close in a hierarchy, also through nodes that are not labels.

    The weight is WordNet's path similarity ``1 / (1 + d)``, where d is the least number of is-a
    steps between the two labels, up or down (Pedersen, Patwardhan and Michelizzi,
    WordNet::Similarity, 2004). Without a bound on d, the root would connect all labels.

    Args:
        edges: ``(child, parent)`` pairs as returned by :func:`gatlabel.graph.read_edges` (weights
            are ignored), or a networkx graph.
        names: The L label names; each must be a node.
        max_distance: Largest number of steps between connected labels; siblings have 2.
        top_k: Maximum number of in-neighbours per label, nearest first; ``None`` keeps all.

    Raises:
        InputError: If a label is not a node of the hierarchy, a node is above itself, or an option
            is not positive.
    """
    if max_distance < 1:
        raise InputError(f"max_distance is {max_distance}: it must be at least 1")
    labels = LabelSet(names)
    tree = networkx.Graph()
    if isinstance(edges, networkx.Graph):
        tree.add_nodes_from(map(str, edges.nodes))
        tree.add_edges_from((str(one), str(two)) for one, two in edges.edges())
    else:
        pairs = [(str(edge[0]), str(edge[1])) for edge in edges]
        _refuse_cycles(pairs)
        tree.add_edges_from(pairs)
    for name in labels:
        if name not in tree:
            raise InputError(f"label {name!r} is not a node of the hierarchy{nearest(name, tree)}")
    found: list[tuple[int, int, int]] = []
    for target, name in enumerate(labels):
        distances = networkx.single_source_shortest_path_length(tree, name, cutoff=max_distance)
        found += [
            (labels.index(other), target, distance)
            for other, distance in distances.items()
            if distance and other in labels
        ]
    source, target_, distance = np.array(found, np.int64).reshape(-1, 3).T
    weight = 1.0 / (1.0 + distance)
    kept = strongest(labels, source, target_, weight, top_k=top_k)
    return LabelGraph(
        labels,
        np.stack([source, target_])[:, kept],
        weight[kept],
        variant="hierarchy",
        options={"max_distance": max_distance, "top_k": top_k},
        relation="similarity",
    )


def _refuse_cycles(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuses a hierarchy in which a node is its own ancestor."""
    above = networkx.DiGraph(pairs)
    if networkx.is_directed_acyclic_graph(above):
        return
    cycle = [child for child, _ in networkx.find_cycle(above)]
    raise InputError(
        f"the hierarchy has a cycle, {' -> '.join([*cycle, cycle[0]])}: each line is child,parent, "
        "and no node may be above itself"
    )


def read_hierarchy(path: str | os.PathLike[str], names: Iterable[str]) -> LabelGraph:
    """Reads a hierarchy, one ``child,parent`` per line, and connects labels that are close in it.

    Args:
        path: CSV or TSV as in :func:`gatlabel.graph.read_edges`.
        names: The L label names; each must be a node.

    Returns:
        :func:`hierarchy_graph` with its defaults.

    Raises:
        InputError: If the file cannot be read, a row is wrong, a label is not a node, or a node is
            above itself; the message names the file and the row, label or nodes.
    """
    edges = read_edges(path, header=("child", "parent"))
    try:
        return hierarchy_graph(edges, names)
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error
