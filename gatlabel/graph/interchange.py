"""Conversion of label graphs to and from networkx graphs and PyG data."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import networkx

from gatlabel.errors import InputError
from gatlabel.graph.edges import edges_by_name, refuse_other_nodes
from gatlabel.graph.record import GraphRecord, Relation
from gatlabel.labels import LabelSet


def to_networkx(graph: GraphRecord) -> networkx.DiGraph:
    """Converts to a directed networkx graph.

    Args:
        graph: The record of a label graph; its edges and weights are tensors.

    Returns:
        The nodes are the label names in label order. The edge attribute ``weight`` is the weight
        of source -> target. The graph attributes are ``variant``, ``options``, ``relation`` and
        ``self_loops``.
    """
    converted = networkx.DiGraph(
        variant=graph.variant,
        options=dict(graph.options or {}),
        relation=graph.relation,
        self_loops=graph.self_loops,
    )
    names = tuple(graph.names)
    converted.add_nodes_from(names)
    sources, targets = graph.edge_index.tolist()
    for source, target, weight in zip(sources, targets, graph.edge_weight.tolist(), strict=True):
        converted.add_edge(names[source], names[target], weight=weight)
    return converted


def from_networkx(graph: networkx.Graph, names: Iterable[str] | None = None) -> GraphRecord:
    """Converts a networkx graph; see :meth:`LabelGraph.from_networkx`."""
    if graph.is_multigraph():
        raise InputError("a multigraph has parallel edges: merge them first (networkx.DiGraph(g))")
    nodes = [str(node) for node in graph.nodes]
    labels = LabelSet(nodes if names is None else names)
    refuse_other_nodes(nodes, labels, "the networkx graph: ")
    labels.require_same_names(nodes, "the networkx graph")
    edges = [(str(one), str(two), _weight(one, two, data)) for one, two, data in graph.edges.data()]
    labels, index, weight = edges_by_name(edges, labels, undirected=not graph.is_directed())
    return GraphRecord(
        labels,
        index,
        weight,
        self_loops=bool(graph.graph.get("self_loops", False)),
        variant=graph.graph.get("variant"),
        options=graph.graph.get("options"),
        relation=_relation(graph.graph.get("relation")),
    )


def _relation(value: Any) -> Relation:
    """Returns the attribute ``relation`` if it is a valid relation, otherwise the default."""
    alike = isinstance(value, str) and value == "similarity"
    return "similarity" if alike else "cooccurrence"


def _weight(one: Any, two: Any, data: dict[str, Any]) -> float:
    value = data.get("weight", 1.0)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"the edge {one!r} -> {two!r} has the weight {value!r}") from error


def to_pyg(graph: GraphRecord) -> Any:
    """Converts to a PyG ``Data``; see :meth:`LabelGraph.to_pyg`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyG's own, on import under newer torch
        from torch_geometric.data import Data

    names = list(graph.names)
    return Data(
        x=graph.node_features,
        edge_index=graph.edge_index.clone(),
        edge_weight=graph.edge_weight.clone(),
        num_nodes=len(names),
        names=names,
        self_loops=graph.self_loops,
        relation=graph.relation,
    )


def from_pyg(data: Any, names: Iterable[str] | None = None) -> GraphRecord:
    """Converts a PyG ``Data``; see :meth:`LabelGraph.from_pyg`."""
    if names is None:
        names = getattr(data, "names", None)
    if names is None:
        raise InputError("the PyG data has no label names: pass names=…")
    labels = LabelSet(names)
    if "num_nodes" in data and data.num_nodes != len(labels):  # else PyG guesses from the edges
        raise InputError(f"the PyG data has {data.num_nodes} nodes for {len(labels)} label names")
    index = data.edge_index
    return GraphRecord(
        labels,
        [] if index is None else index,
        getattr(data, "edge_weight", None),
        self_loops=bool(getattr(data, "self_loops", False)),
        relation=_relation(getattr(data, "relation", None)),
        node_features=getattr(data, "x", None),
    )
