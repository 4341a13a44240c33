"""Weighted edges between labels and their checks: the structure of a label graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.values import first_few


def edges_by_name(
    edges: Iterable[Sequence[Any]], names: Iterable[str] | None = None, undirected: bool = False
) -> tuple[LabelSet, NDArray[np.int64], Tensor]:
    """Converts edges given by label names into positions and weights.

    Args:
        edges: ``(source, target)`` or ``(source, target, weight)``; weight 1 if left out.
        names: The L label names; by default the names of the edges, in order of appearance.
        undirected: Whether to add every edge in both directions.

    Returns:
        The labels, int64 ``(2, E)`` with sources above targets, and weights ``(E,)``.

    Raises:
        InputError: If a name is not a label.
    """
    triples = [(edge[0], edge[1], float(edge[2]) if len(edge) > 2 else 1.0) for edge in edges]
    if undirected:
        triples += [(two, one, weight) for one, two, weight in triples if one != two]
    if names is None:
        names = dict.fromkeys(name for edge in triples for name in edge[:2])
    labels = names if isinstance(names, LabelSet) else LabelSet(names)
    sources = labels.positions(edge[0] for edge in triples)
    targets = labels.positions(edge[1] for edge in triples)
    return labels, np.stack([sources, targets]), torch.tensor([edge[2] for edge in triples])


def refuse_other_nodes(nodes: Iterable[str], labels: LabelSet, what: str) -> None:
    """Refuses nodes of a graph that are not labels.

    Raises:
        InputError: If there are such nodes; the message names the first five and what to do.
    """
    extra = [node for node in nodes if node not in labels]
    if extra:
        shown = first_few([repr(node) for node in extra], 5)
        raise InputError(
            f"{what}{len(extra)} nodes are not labels ({shown}): remove them and their edges, or "
            "use gatlabel.graph.hierarchy_graph, which connects labels through such nodes"
        )


class LabelEdges:
    """Directed, weighted edges over labels, sorted by target, then source.

    Args:
        names: The L label names.
        edge_index: int64 ``(2, E)``, row 0 sources, row 1 targets, no duplicate edges.
        edge_weight: ``(E,)``, finite; 1 for every edge by default. Stored as float32.
        self_loops: Whether an edge from a label to itself is allowed.

    Raises:
        InputError: If shapes do not match, an edge is out of range, duplicated or an unexpected
            self-loop, or a weight is not finite; the message names the labels.
    """

    def __init__(
        self,
        names: Iterable[str],
        edge_index: Tensor | ArrayLike,
        edge_weight: Tensor | ArrayLike | None = None,
        *,
        self_loops: bool = False,
    ) -> None:
        self.labels = names if isinstance(names, LabelSet) else LabelSet(names)
        index = torch.as_tensor(edge_index).detach().cpu()
        if index.numel() == 0:
            index = torch.zeros(2, 0, dtype=torch.int64)
        weight = torch.ones(index.shape[-1]) if edge_weight is None else edge_weight
        weight = torch.as_tensor(weight).detach().cpu().to(torch.float32)
        _check_edges(self.labels, index, weight, self_loops)
        index = index.to(torch.int64)
        order = torch.argsort(index[1] * len(self.labels) + index[0])
        self.edge_index = index[:, order].contiguous()
        self.edge_weight = weight[order]

    @property
    def names(self) -> tuple[str, ...]:
        """The L label names."""
        return self.labels.names

    @property
    def num_edges(self) -> int:
        """Number of edges E, including self-loops."""
        return self.edge_index.shape[1]

    @property
    def has_self_loops(self) -> bool:
        """Whether an edge runs from a label to itself."""
        return bool((self.edge_index[0] == self.edge_index[1]).any())

    @property
    def in_degree(self) -> Tensor:
        """Number of in-neighbours of each label, excluding itself: int64 ``(L,)``."""
        return self._degree(1)

    @property
    def out_degree(self) -> Tensor:
        """Number of out-neighbours of each label, excluding itself: int64 ``(L,)``."""
        return self._degree(0)

    @property
    def isolated(self) -> tuple[str, ...]:
        """Labels without an in-neighbour: no other label contributes evidence to them."""
        return tuple(self.labels[int(i)] for i in (self.in_degree == 0).nonzero().flatten())

    def _degree(self, row: int) -> Tensor:
        others = self.edge_index[0] != self.edge_index[1]
        return torch.bincount(self.edge_index[row, others], minlength=len(self.labels))

    def to_dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Returns ``(L, L)``: ``[i, j]`` is the weight of the edge j -> i, 0 without an edge."""
        dense = torch.zeros(len(self.labels), len(self.labels), dtype=dtype)
        dense[self.edge_index[1], self.edge_index[0]] = self.edge_weight.to(dtype)
        return dense


def _check_edges(labels: LabelSet, index: Tensor, weight: Tensor, self_loops: bool) -> None:
    """Checks edges as given by the caller.

    Args:
        labels: The L labels.
        index: Expected: integers ``(2, E)``, 0 to L − 1, no duplicate edges.
        weight: Expected: finite values ``(E,)``.
        self_loops: Whether an edge from a label to itself is allowed.

    Raises:
        InputError: If a check fails; the message names the first wrong edge by its labels.
    """
    whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
    if index.ndim != 2 or index.shape[0] != 2 or not whole:
        raise InputError(
            f"edge_index has shape {tuple(index.shape)} and type {index.dtype}: expected (2, E) "
            "integers, row 0 sources, row 1 targets"
        )
    if weight.shape != (index.shape[1],):
        raise InputError(f"edge_weight has shape {tuple(weight.shape)}, not ({index.shape[1]},)")
    L = len(labels)
    outside = ((index < 0) | (index >= L)).any(0)
    if outside.any():
        k = int(outside.nonzero()[0])
        raise InputError(f"edge {k} is {index[:, k].tolist()}: labels are numbered 0 to {L - 1}")
    if not weight.isfinite().all():
        k = int((~weight.isfinite()).nonzero()[0])
        raise InputError(f"the edge {_named(labels, index, k)} has the weight {weight[k]}")
    if not self_loops and (index[0] == index[1]).any():
        k = int((index[0] == index[1]).nonzero()[0])
        raise InputError(
            f"the edge {_named(labels, index, k)} is a self-loop: omit it, as heads treat a "
            "label's own contribution separately"
        )
    keys = (index[0].to(torch.int64) * L + index[1]).sort()
    twice = keys.values[1:] == keys.values[:-1]
    if twice.any():
        k = int(keys.indices[int(twice.nonzero()[0])])
        raise InputError(f"the edge {_named(labels, index, k)} appears more than once")


def _named(labels: LabelSet, index: Tensor, edge: int) -> str:
    return f"{labels[int(index[0, edge])]!r} -> {labels[int(index[1, edge])]!r}"
