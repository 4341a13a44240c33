"""The label graph: which label lends evidence to which, and how strongly."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.edge_checks import check_edges
from gatlabel.labels import LabelSet

if TYPE_CHECKING:
    import networkx

    from gatlabel.graph.cooccurrence import Cooccurrence

#: What an edge says: that two labels occur together, or that they are alike.
Relation = Literal["company", "kin"]


class LabelGraph:
    """A directed, weighted graph over labels.

    Edges follow PyG: ``edge_index[0]`` is the source j, ``edge_index[1]`` the target i, and a
    message runs j -> i. They are kept sorted by target, then source.

    Args:
        names: The L label names.
        edge_index: int64 ``(2, E)``, sources above targets, no edge twice.
        edge_weight: ``(E,)``, finite; 1 for every edge if left out. Kept as float32.
        self_loops: Whether an edge from a label to itself is allowed. Heads treat "self"
            explicitly, so only the two ML-GCN variants, whose matrix has them, say so.
        variant: Name of the variant the graph was built with, kept for tables and files.
        options: Options of the variant, as JSON values.
        relation: What an edge says. ``"company"``: its labels occur together, so one is evidence
            for the other. ``"kin"``: its labels are alike (by the meaning of their names, by a
            hierarchy), so their classifiers should be; heads that can, start from that.
        counts: The counts the graph was built from; not saved with it. Node features such as
            ``"svd"`` are computed from them.
        node_features: Label vectors ``(L, F)`` that belong to the graph; not saved with it.

    Raises:
        InputError: If shapes do not fit, an edge is out of range, stands twice or is an
            unexpected self-loop, a weight is not finite, or there is no such relation; the message
            names the labels.

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
        relation: Relation = "company",
        counts: Cooccurrence | None = None,
        node_features: Tensor | None = None,
    ) -> None:
        if relation not in get_args(Relation):
            raise unknown_choice("relation of a label graph", str(relation), get_args(Relation))
        self.labels = names if isinstance(names, LabelSet) else LabelSet(names)
        index = torch.as_tensor(edge_index).detach().cpu()
        if index.numel() == 0:
            index = torch.zeros(2, 0, dtype=torch.int64)
        weight = torch.ones(index.shape[-1]) if edge_weight is None else edge_weight
        weight = torch.as_tensor(weight).detach().cpu().to(torch.float32)
        check_edges(self.labels, index, weight, self_loops)
        index = index.to(torch.int64)
        order = torch.argsort(index[1] * len(self.labels) + index[0])
        self.edge_index = index[:, order].contiguous()
        self.edge_weight = weight[order]
        self.variant = variant
        self.options = dict(options or {})
        self.relation: Relation = relation
        self.counts = counts
        if node_features is not None and len(node_features) != len(self.labels):
            raise InputError(
                f"node features have {len(node_features)} rows for {len(self.labels)} labels"
            )
        self.node_features = node_features

    @classmethod
    def from_dense(
        cls, matrix: Tensor | ArrayLike, names: Iterable[str], **keywords: Any
    ) -> LabelGraph:
        """Makes an edge of every non-zero entry of a matrix.

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
    ) -> LabelGraph:
        """Makes a graph of edges given by name.

        Args:
            edges: ``(source, target)`` or ``(source, target, weight)``; weight 1 if left out.
            names: The L label names; by default the names of the edges, in order of appearance.
            undirected: Whether every edge runs both ways.
            **keywords: The keyword arguments of :class:`LabelGraph`.

        Raises:
            InputError: As :class:`LabelGraph`, or if a name is no label.
        """
        triples = [(edge[0], edge[1], float(edge[2]) if len(edge) > 2 else 1.0) for edge in edges]
        if undirected:
            triples += [(two, one, weight) for one, two, weight in triples if one != two]
        if names is None:
            names = dict.fromkeys(name for edge in triples for name in edge[:2])
        labels = LabelSet(names)
        sources = labels.positions(edge[0] for edge in triples)
        targets = labels.positions(edge[1] for edge in triples)
        weights = torch.tensor([edge[2] for edge in triples])
        return cls(labels, np.stack([sources, targets]), weights, **keywords)

    @classmethod
    def from_edge_file(
        cls,
        path: str | os.PathLike[str],
        names: Iterable[str] | None = None,
        *,
        undirected: bool = False,
        relation: Relation = "company",
    ) -> LabelGraph:
        """Reads a csv or tsv file with the columns source, target and, optionally, weight.

        ``relation`` is what its edges say; see the class. For a hierarchy with nodes that are no
        labels see :func:`gatlabel.graph.hierarchy_graph`.

        Raises:
            InputError: If the file cannot be read or an edge is wrong; the message names the row.
        """
        from gatlabel.graph.edge_files import graph_from_edge_file

        return graph_from_edge_file(path, names, undirected, relation)

    @classmethod
    def from_networkx(cls, graph: networkx.Graph, names: Iterable[str] | None = None) -> LabelGraph:
        """Converts a networkx graph: node names are label names, in label order.

        The edge attribute ``weight`` is read (1 where missing); an undirected edge runs both
        ways. With ``names``, that is the label order and the nodes must be the same set.

        Raises:
            InputError: If nodes are no labels, parallel edges exist, or an edge is wrong.
        """
        from gatlabel.graph.interchange import from_networkx

        return from_networkx(graph, names)

    @classmethod
    def from_pyg(cls, data: Any, names: Iterable[str] | None = None) -> LabelGraph:
        """Converts a PyG ``Data`` with ``edge_index`` and optional ``edge_weight``.

        Args:
            data: The PyG object; ``data.names`` is used if ``names`` is left out, and ``data.x``
                becomes the node features.
            names: The L label names.

        Raises:
            InputError: If there are no names, or an edge is wrong.
        """
        from gatlabel.graph.interchange import from_pyg

        return from_pyg(data, names)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LabelGraph:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: If the file cannot be read or is no label graph.
        """
        from gatlabel.graph.edge_files import load_graph

        return load_graph(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes names, edges, weights, variant and options as JSON; the round trip is exact."""
        from gatlabel.graph.edge_files import save_graph

        save_graph(self, path)

    @property
    def names(self) -> tuple[str, ...]:
        """The L label names."""
        return self.labels.names

    @property
    def num_edges(self) -> int:
        """Number of edges E, self-loops among them."""
        return self.edge_index.shape[1]

    @property
    def has_self_loops(self) -> bool:
        """Whether an edge runs from a label to itself."""
        return bool((self.edge_index[0] == self.edge_index[1]).any())

    @property
    def in_degree(self) -> Tensor:
        """Number of in-neighbours of each label, itself not counted: int64 ``(L,)``."""
        return self._degree(1)

    @property
    def out_degree(self) -> Tensor:
        """Number of labels each label lends to, itself not counted: int64 ``(L,)``."""
        return self._degree(0)

    @property
    def isolated(self) -> tuple[str, ...]:
        """Labels without an in-neighbour: no other label lends them evidence."""
        return tuple(self.labels[int(i)] for i in (self.in_degree == 0).nonzero().flatten())

    def _degree(self, row: int) -> Tensor:
        others = self.edge_index[0] != self.edge_index[1]
        return torch.bincount(self.edge_index[row, others], minlength=len(self.labels))

    def to_dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Returns ``(L, L)``: ``[i, j]`` is the weight of the edge j -> i, 0 without one."""
        dense = torch.zeros(len(self.labels), len(self.labels), dtype=dtype)
        dense[self.edge_index[1], self.edge_index[0]] = self.edge_weight.to(dtype)
        return dense

    def to_networkx(self) -> networkx.DiGraph:
        """Converts to a directed networkx graph with the edge attribute ``weight``."""
        from gatlabel.graph.interchange import to_networkx

        return to_networkx(self)

    def to_pyg(self) -> Any:
        """Converts to a PyG ``Data`` with ``edge_index``, ``edge_weight``, ``names`` and, if the
        graph has node features, ``x``; ``num_nodes`` is L.
        """  # noqa: D205
        from gatlabel.graph.interchange import to_pyg

        return to_pyg(self)

    def reorder(self, names: Iterable[str]) -> LabelGraph:
        """Returns the same graph with the labels in another order.

        Raises:
            InputError: If the names are not the same set; the message lists the differences.
        """
        labels = LabelSet(names)
        order = torch.from_numpy(labels.require_same_names(self.labels, "the graph"))
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        features = self.node_features
        return LabelGraph(
            labels,
            place[self.edge_index],
            self.edge_weight,
            self_loops=True,
            variant=self.variant,
            options=self.options,
            relation=self.relation,
            counts=None if self.counts is None else self.counts.reorder(labels),
            node_features=None if features is None else features[order],
        )

    def draw(self, path: str | os.PathLike[str], title: str | None = None) -> None:
        """Draws the graph to a file (png, svg or pdf, by its ending).

        Up to 150 labels: nodes and arrows, laid out by communities. Beyond: the weights as a
        matrix ordered by community, each community named by its most connected labels.
        """
        from gatlabel.graph.drawing import draw_graph

        draw_graph(self, path, title)

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

    def __repr__(self) -> str:
        parts = [f"{len(self.labels)} labels", f"{self.num_edges} edges"]
        if self.has_self_loops:
            parts.append("self-loops among them")
        if len(self.labels):
            degree = self.in_degree
            low, middle, high = int(degree.min()), int(degree.median()), int(degree.max())
            parts.append(f"in-degree {low}–{high} (median {middle})")
        parts.append(f"{len(self.isolated)} isolated")
        if self.variant:
            set_ = {name: value for name, value in self.options.items() if value is not None}
            options = "".join(f", {name}={value!r}" for name, value in set_.items())
            parts.append(f"{self.variant}{options}")
        if self.relation == "kin":
            parts.append("kin")
        return f"LabelGraph({', '.join(parts)})"
