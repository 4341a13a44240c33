"""Structural comparison of label graphs: density, degrees, components and shared edges."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import networkx

from gatlabel.errors import InputError
from gatlabel.graph.label_graph import LabelGraph
from gatlabel.printing import clean


@dataclass(frozen=True)
class GraphSummary:
    """The structure of one graph; self-loops are excluded from every number.

    Attributes:
        name: Name of the graph in the comparison.
        labels: L.
        edges: Number of directed edges E.
        density: ``E / (L·(L−1))``, 0 to 1.
        degree_min: Least number of in-neighbours.
        degree_median: Median number of in-neighbours (the lower one of two).
        degree_max: Greatest number of in-neighbours.
        isolated: Labels without an in-neighbour.
        reciprocity: Share of the edges whose reverse edge exists too, 0 to 1.
        components: Number of weakly connected components; a label without edges is one component.
        mean_weight: Mean weight of the edges, 0 without edges.
        largest_share: Share of all edges whose source is the most frequent source label, 0 to 1.
    """

    name: str
    labels: int
    edges: int
    density: float
    degree_min: int
    degree_median: int
    degree_max: int
    isolated: int
    reciprocity: float
    components: int
    mean_weight: float
    largest_share: float


@dataclass(frozen=True)
class GraphComparison:
    """Summaries of graphs over the same labels, and the overlap of their edges.

    Attributes:
        rows: One summary per graph, in the order given.
        overlap: ``overlap[a][b]`` is the Jaccard index of the directed edges of a and b, 0 to 1;
            it is 1 for two graphs without edges.
    """

    rows: tuple[GraphSummary, ...]
    overlap: Mapping[str, Mapping[str, float]]

    def table(self) -> str:
        """Returns both tables as Markdown, which is also readable as plain text."""
        return "\n\n".join(_markdown(rows) for rows in self.cells())

    def cells(self) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        """Returns the cells of both tables as text, the heading first."""
        heading = (
            "graph", "edges", "density", "in-degree min/median/max", "isolated",
            "reciprocity", "components", "mean weight", "share of the top source",
        )  # fmt: skip
        cells = [
            (
                row.name,
                str(row.edges),
                f"{row.density:.3f}",
                f"{row.degree_min}/{row.degree_median}/{row.degree_max}",
                f"{row.isolated} of {row.labels}",
                f"{row.reciprocity:.2f}",
                str(row.components),
                f"{row.mean_weight:.3f}",
                f"{row.largest_share:.2f}",
            )
            for row in self.rows
        ]
        names = [row.name for row in self.rows]
        shared = [(one, *(f"{self.overlap[one][two]:.2f}" for two in names)) for one in names]
        return [heading, *cells], [("shared edges (Jaccard)", *names), *shared]


def compare(graphs: Mapping[str, LabelGraph]) -> GraphComparison:
    """Compares graphs by structure; the benchmarks compare them by training.

    Args:
        graphs: Graphs by name, all over the same labels; the label order may differ.

    Raises:
        InputError: If ``graphs`` is empty or the label names differ.
    """
    if not graphs:
        raise InputError("there is no graph to compare")
    labels = next(iter(graphs.values())).labels
    edges: dict[str, set[tuple[str, str]]] = {}
    for name, graph in graphs.items():
        labels.require_same_names(graph.labels, f"the graph {name!r}")
        edges[name] = {
            (graph.names[source], graph.names[target])
            for source, target in graph.edge_index.T.tolist()
            if source != target
        }
    overlap = {one: {two: _jaccard(edges[one], edges[two]) for two in graphs} for one in graphs}
    return GraphComparison(tuple(summary(name, graph) for name, graph in graphs.items()), overlap)


def summary(name: str, graph: LabelGraph) -> GraphSummary:
    """Summarises the structure of one graph."""
    L = len(graph.labels)
    kept = graph.edge_index[0] != graph.edge_index[1]
    pairs = set(map(tuple, graph.edge_index[:, kept].T.tolist()))
    weights = graph.edge_weight[kept]
    E, degree = len(pairs), graph.in_degree
    links = networkx.Graph()
    links.add_nodes_from(range(L))
    links.add_edges_from(pairs)
    mutual = sum((target, source) in pairs for source, target in pairs)
    return GraphSummary(
        name=name,
        labels=L,
        edges=E,
        density=E / (L * (L - 1)) if L > 1 else 0.0,
        degree_min=int(degree.min()) if L else 0,
        degree_median=int(degree.median()) if L else 0,
        degree_max=int(degree.max()) if L else 0,
        isolated=len(graph.isolated),
        reciprocity=mutual / E if E else 0.0,
        components=networkx.number_connected_components(links),
        mean_weight=float(weights.double().mean()) if E else 0.0,
        largest_share=int(graph.out_degree.max()) / E if E else 0.0,
    )


def draw_comparison(graphs: Mapping[str, LabelGraph], path: str | os.PathLike[str]) -> None:
    """Draws graphs side by side, each under its name; the file suffix selects png, svg or pdf.

    Raises:
        InputError: If ``graphs`` is empty or the suffix is not supported.
    """
    from gatlabel.graph.drawing import draw_graphs

    draw_graphs(graphs, path)


def _jaccard(one: set[tuple[str, str]], two: set[tuple[str, str]]) -> float:
    both = len(one | two)
    return len(one & two) / both if both else 1.0


def _markdown(rows: list[tuple[str, ...]]) -> str:
    rows = [tuple(clean(cell).replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
