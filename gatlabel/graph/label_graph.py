"""The label graph: which labels contribute evidence to which, and how strongly."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.counts import Counts
from gatlabel.graph.edge_files import read_edge_graph
from gatlabel.graph.edges import LabelEdges, edges_by_name
from gatlabel.graph.graph_files import load_graph, save_graph
from gatlabel.graph.label_counts import LabelCounts
from gatlabel.graph.record import GraphRecord, Relation
from gatlabel.labels import LabelSet

if TYPE_CHECKING:
    import networkx


class LabelGraph(LabelEdges):
    """A directed, weighted graph over labels.

    Edges follow PyG: ``edge_index[0]`` is the source j, ``edge_index[1]`` the target i, and
    messages pass from j to i. Edges are sorted by target, then by source.

    Args:
        names: The L label names.
        edge_index: int64 ``(2, E)``, row 0 sources, row 1 targets, no duplicate edges.
        edge_weight: ``(E,)``, finite; 1 for every edge by default. Stored as float32.
        self_loops: Whether self-loops are allowed. Heads treat a label's own contribution
            separately, so only the two ML-GCN variants, whose matrix has self-loops, allow them.
        variant: Name of the variant that built the graph, for tables and files.
        options: Options of the variant, as JSON values.
        relation: The meaning of an edge. ``"cooccurrence"``: the labels occur together, so one is
            evidence for the other. ``"similarity"``: the labels are alike (by their names or a
            hierarchy), so their classifiers should be alike; some heads use this as initialisation.
        counts: The counts the graph was built from. ``"svd"`` node features need their pairs, which
            are not saved with the graph; the counts of single labels are.
        label_counts: Counts of single labels, if ``counts`` is not given.
        node_features: Label vectors ``(L, F)`` that belong to the graph; not saved with it.

    Attributes:
        label_counts: How often each label occurs, or ``None`` if unknown.

    Raises:
        InputError: If shapes do not match, an edge is out of range, duplicated or an unexpected
            self-loop, a weight is not finite, or the relation does not exist; the message names
            the labels.

    Example:
        >>> graph = LabelGraph.from_edges([("fork", "knife", 0.5)], ["fork", "knife", "cow"])
        >>> graph.to_dense()[1, 0].item(), graph.isolated
        (0.5, ('fork', 'cow'))
    """

    def __init__(
        self,
        names: Iterable[str],
        edge_index: Tensor | ArrayLike,
        edge_weight: Tensor | ArrayLike | None = None,
        *,
        self_loops: bool = False,
        variant: str | None = None,
        options: Mapping[str, Any] | None = None,
        relation: Relation = "cooccurrence",
        counts: Counts | None = None,
        label_counts: LabelCounts | None = None,
        node_features: Tensor | None = None,
    ) -> None:
        if relation not in get_args(Relation):
            raise unknown_choice("relation of a label graph", str(relation), get_args(Relation))
        super().__init__(names, edge_index, edge_weight, self_loops=self_loops)
        self.variant = variant
        self.options = dict(options or {})
        self.relation: Relation = relation
        self._counts = counts
        self.label_counts = label_counts if counts is None else counts.of_labels
        if node_features is not None and len(node_features) != len(self.labels):
            raise InputError(
                f"node features have {len(node_features)} rows for {len(self.labels)} labels"
            )
        self.node_features = node_features

    @classmethod
    def from_dense(cls, matrix: Tensor | ArrayLike, names: Iterable[str], **keywords: Any) -> Self:
        """Builds a graph with one edge per non-zero entry of a matrix.

        Args:
            matrix: ``(L, L)``; ``[i, j]`` is the weight of the edge j -> i (row = target).
            names: The L label names.
            **keywords: The keyword arguments of :class:`LabelGraph`.

        Raises:
            InputError: As :class:`LabelGraph`, or if the matrix is not ``(L, L)``.
        """
        labels = LabelSet(names)
        dense = torch.as_tensor(matrix)
        if dense.shape != (len(labels), len(labels)):
            raise InputError(
                f"the matrix of the graph has shape {tuple(dense.shape)}, "
                f"expected ({len(labels)}, {len(labels)})"
            )
        target, source = dense.nonzero(as_tuple=True)
        edges = torch.stack([source, target])
        return cls(labels, edges, dense[target, source], **keywords)

    @classmethod
    def from_edges(
        cls,
        edges: Iterable[Sequence[Any]],
        names: Iterable[str] | None = None,
        *,
        undirected: bool = False,
        **keywords: Any,
    ) -> Self:
        """Builds a graph from edges given by label names.

        Args:
            edges: ``(source, target)`` or ``(source, target, weight)``; weight 1 if left out.
            names: The L label names; by default the names of the edges, in order of appearance.
            undirected: Whether to add every edge in both directions.
            **keywords: The keyword arguments of :class:`LabelGraph`.

        Raises:
            InputError: As :class:`LabelGraph`, or if a name is not a label.
        """
        return cls(*edges_by_name(edges, names, undirected), **keywords)

    @classmethod
    def from_edge_file(
        cls,
        path: str | os.PathLike[str],
        names: Iterable[str] | None = None,
        *,
        undirected: bool = False,
        relation: Relation = "cooccurrence",
    ) -> Self:
        """Reads a csv or tsv file with the columns source, target and, optionally, weight.

        ``relation`` is the meaning of the edges; see the class. For a hierarchy with nodes that
        are not labels, see :func:`gatlabel.graph.hierarchy_graph`.

        Raises:
            InputError: If the file cannot be read or an edge is wrong; the message names the row.
        """
        return cls._of(read_edge_graph(path, names, undirected, relation), path)

    @classmethod
    def from_networkx(cls, graph: networkx.Graph, names: Iterable[str] | None = None) -> Self:
        """Converts a networkx graph; its node names become the label names, in node order.

        The edge attribute ``weight`` is read (default 1). An undirected edge becomes two directed
        ones. ``names``, if given, sets the label order and must be the same set as the nodes.

        Raises:
            InputError: If nodes are not labels, parallel edges exist, or an edge is wrong.
        """
        from gatlabel.graph.interchange import from_networkx

        return cls._of(from_networkx(graph, names))

    @classmethod
    def from_pyg(cls, data: Any, names: Iterable[str] | None = None) -> Self:
        """Converts a PyG ``Data`` with ``edge_index`` and optional ``edge_weight``.

        Args:
            data: The PyG object. ``data.names`` is used if ``names`` is omitted, and ``data.x``
                becomes the node features.
            names: The L label names.

        Raises:
            InputError: If label names are missing, or an edge is wrong.
        """
        from gatlabel.graph.interchange import from_pyg

        return cls._of(from_pyg(data, names))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a graph written by :meth:`save`.

        Raises:
            InputError: If the file cannot be read or is not a label graph.
        """
        return cls._of(load_graph(path), path)

    @classmethod
    def _of(cls, record: GraphRecord, path: str | os.PathLike[str] | None = None) -> Self:
        """Builds a graph from a record; errors name the file it was read from."""
        try:
            return cls(**vars(record))
        except InputError as error:
            if path is None:
                raise
            raise InputError(f"{os.fspath(path)}: {error}") from error

    def record(self) -> GraphRecord:
        """Returns the graph as plain values, for files, drawings and other libraries."""
        return GraphRecord(
            self.labels,
            self.edge_index,
            self.edge_weight,
            self_loops=self.has_self_loops,
            variant=self.variant,
            options=self.options,
            relation=self.relation,
            label_counts=self.label_counts,
            node_features=self.node_features,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes names, edges, weights, label counts and options as JSON without rounding."""
        save_graph(self.record(), path)

    def to_networkx(self) -> networkx.DiGraph:
        """Converts to a directed networkx graph with the edge attribute ``weight``."""
        from gatlabel.graph.interchange import to_networkx

        return to_networkx(self.record())

    def to_pyg(self) -> Any:
        """Converts to a PyG ``Data`` with ``edge_index``, ``edge_weight``, ``names`` and, if the
        graph has node features, ``x``; ``num_nodes`` is L.
        """  # noqa: D205
        from gatlabel.graph.interchange import to_pyg

        return to_pyg(self.record())

    def draw(self, path: str | os.PathLike[str], title: str | None = None) -> None:
        """Draws the graph to a file (png, svg or pdf, by the suffix).

        Graphs of up to 150 labels are drawn as nodes and arrows, laid out by communities. Larger
        ones are drawn as a matrix of weights, ordered by community; each community is named after
        its most connected labels.
        """
        from gatlabel.graph.drawing import draw_graphs

        draw_graphs({title or repr(self): self}, path)

    @property
    def counts(self) -> Counts | None:
        """The counts the graph was built from, if given; see :meth:`with_counts`."""
        return self._counts

    @property
    def base_rates(self) -> Tensor | None:
        """Share of images with each label, float64 ``(L,)`` in (0, 1), or ``None`` if unknown."""
        if self.label_counts is None or self.label_counts.images is None:
            return None
        return torch.from_numpy(self.label_counts.base_rates)

    def with_counts(self, counts: Counts) -> Self:
        """Returns the same graph with other counts, whose labels may be in any order.

        Heads take base rates and ``"svd"`` label vectors from the counts, not from the edges. Give
        a graph read from a file the counts of the training images.

        Raises:
            InputError: If the label names differ.
        """
        same = counts.labels == self.labels
        counts = counts if same else counts.reorder(self.labels)
        return type(self)(**vars(self.record()) | {"counts": counts})

    def reorder(self, names: Iterable[str]) -> Self:
        """Returns the same graph with the labels in the given order.

        Raises:
            InputError: If the names are not the same set; the message lists the differences.
        """
        labels = LabelSet(names)
        order = torch.from_numpy(labels.require_same_names(self.labels, "the graph"))
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        features, counts = self.node_features, self.label_counts
        own = vars(self.record()) | {
            "names": labels,
            "edge_index": place[self.edge_index],
            "counts": None if self.counts is None else self.counts.reorder(labels),
            "label_counts": None if counts is None else counts.permuted(order.numpy()),
            "node_features": None if features is None else features[order],
        }
        return type(self)(**own)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelGraph):
            return NotImplemented
        return (
            self.labels == other.labels
            and self.relation == other.relation
            and torch.equal(self.edge_index, other.edge_index)
            and torch.equal(self.edge_weight, other.edge_weight)
        )

    __hash__ = None  # type: ignore[assignment]

    def describe(self) -> str:
        """Returns a short description: ``conditional, 67 edges, about 3 neighbours per label``."""
        parts = [self.variant or "label graph"]
        parts += [f"{name}={value}" for name, value in self.options.items() if value is not None]
        parts.append("1 edge" if self.num_edges == 1 else f"{self.num_edges:,} edges")
        if self.num_edges:
            mean = float(self.in_degree.float().mean())
            parts.append(f"about {mean:.{0 if mean >= 2 else 1}f} neighbours per label")
        if self.num_edges and self.isolated:
            parts.append(f"{len(self.isolated)} labels without neighbours")
        if self.relation == "similarity":
            parts.append("similarity")
        return ", ".join(parts)

    def __repr__(self) -> str:
        parts = [f"{len(self.labels)} labels", f"{self.num_edges} edges"]
        if self.has_self_loops:
            parts.append("with self-loops")
        if len(self.labels):
            degree = self.in_degree
            low, middle, high = int(degree.min()), int(degree.median()), int(degree.max())
            parts.append(f"in-degree {low}–{high} (median {middle})")
        parts.append(f"{len(self.isolated)} isolated")
        if self.variant:
            set_ = {name: value for name, value in self.options.items() if value is not None}
            options = "".join(f", {name}={value!r}" for name, value in set_.items())
            parts.append(f"{self.variant}{options}")
        if self.relation == "similarity":
            parts.append("similarity")
        return f"LabelGraph({', '.join(parts)})"
