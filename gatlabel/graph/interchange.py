"""Label graphs as networkx graphs and as PyG data, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import networkx
import torch

from gatlabel.errors import InputError
from gatlabel.graph.label_graph import LabelGraph, Relation
from gatlabel.labels import LabelSet


def to_networkx(graph: LabelGraph) -> networkx.DiGraph:
    """Converts to a directed networkx graph.

    Returns:
        Nodes are the label names in label order, the edge attribute ``weight`` is the weight of
        source -> target, and the graph attributes ``variant``, ``options``, ``relation`` and
        ``self_loops`` say where it comes from.
    """
    converted = networkx.DiGraph(
        variant=graph.variant,
        options=dict(graph.options),
        relation=graph.relation,
        self_loops=graph.has_self_loops,
    )
    converted.add_nodes_from(graph.names)
    sources, targets = graph.edge_index.tolist()
    for source, target, weight in zip(sources, targets, graph.edge_weight.tolist(), strict=True):
        converted.add_edge(graph.names[source], graph.names[target], weight=weight)
    return converted


def from_networkx(graph: networkx.Graph, names: Iterable[str] | None = None) -> LabelGraph:
    """Converts a networkx graph; see :meth:`LabelGraph.from_networkx`."""
    if graph.is_multigraph():
        raise InputError("a multigraph has parallel edges: merge them first (networkx.DiGraph(g))")
    nodes = [str(node) for node in graph.nodes]
    labels = LabelSet(nodes if names is None else names)
    extra = [node for node in nodes if node not in labels]
    if extra:
        shown = ", ".join(map(repr, extra[:5]))
        raise InputError(
            f"{len(extra)} nodes of the graph are no labels ({shown}{' …' if extra[5:] else ''}): "
            "remove them, or use gatlabel.graph.hierarchy_graph, which passes through them"
        )
    labels.require_same_names(nodes, "the networkx graph")
    edges = [(str(one), str(two), _weight(one, two, data)) for one, two, data in graph.edges.data()]
    return LabelGraph.from_edges(
        edges,
        labels,
        undirected=not graph.is_directed(),
        self_loops=bool(graph.graph.get("self_loops", False)),
        variant=graph.graph.get("variant"),
        options=graph.graph.get("options"),
        relation=_relation(graph.graph.get("relation")),
    )


def _relation(value: Any) -> Relation:
    """What edges say, if that is what the attribute of a foreign object is about."""
    return "kin" if isinstance(value, str) and value == "kin" else "company"


def _weight(one: Any, two: Any, data: dict[str, Any]) -> float:
    value = data.get("weight", 1.0)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"the edge {one!r} -> {two!r} has the weight {value!r}") from error


def to_pyg(graph: LabelGraph) -> Any:
    """Converts to a PyG ``Data``; see :meth:`LabelGraph.to_pyg`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyG's own, on import under newer torch
        from torch_geometric.data import Data

    return Data(
        x=graph.node_features,
        edge_index=graph.edge_index.clone(),
        edge_weight=graph.edge_weight.clone(),
        num_nodes=len(graph.names),
        names=list(graph.names),
        self_loops=graph.has_self_loops,
        relation=graph.relation,
    )


def from_pyg(data: Any, names: Iterable[str] | None = None) -> LabelGraph:
    """Converts a PyG ``Data``; see :meth:`LabelGraph.from_pyg`."""
    if names is None:
        names = getattr(data, "names", None)
    if names is None:
        raise InputError("the PyG data has no label names: pass names=…")
    labels = LabelSet(names)
    if "num_nodes" in data and data.num_nodes != len(labels):  # else PyG guesses from the edges
        raise InputError(f"the PyG data has {data.num_nodes} nodes for {len(labels)} label names")
    index = data.edge_index
    return LabelGraph(
        labels,
        torch.zeros(2, 0, dtype=torch.int64) if index is None else index,
        getattr(data, "edge_weight", None),
        self_loops=bool(getattr(data, "self_loops", False)),
        relation=_relation(getattr(data, "relation", None)),
        node_features=getattr(data, "x", None),
    )
