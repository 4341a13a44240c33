"""The edges of a static graph, sorted once into the orders in which the kernels read them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn.constants import HoldsConstants

# Up to this many pairs (one byte each), the mask of missing edges is cached.
KEPT_PAIRS = 1 << 22


class CSR(NamedTuple):
    """The structure of a compressed sparse row matrix and of its transpose (int32, as in MKL).

    Attributes:
        offsets: ``(L + 1,)``, position of each target's first in-edge.
        sources: ``(E,)``, the source of each edge, edges sorted by target, then by source.
        transposed_offsets: ``(L + 1,)``, position of each source's first out-edge.
        transposed_targets: ``(E,)``, the target of each edge, edges sorted by source.
        transposed_order: int64 ``(E,)``, position among the in-edges of each out-edge.
        order: int64 ``(E,)``, position among the out-edges of each in-edge.
    """

    offsets: Tensor
    sources: Tensor
    transposed_offsets: Tensor
    transposed_targets: Tensor
    transposed_order: Tensor
    order: Tensor

    def transpose(self) -> CSR:
        """Returns the reversed edges."""
        return CSR(
            self.transposed_offsets,
            self.transposed_targets,
            self.offsets,
            self.sources,
            self.order,
            self.transposed_order,
        )


class Adjacency(HoldsConstants):
    """The edges of a graph with all precomputed arrays that the attention kernels need.

    A head builds one when its edges are set, so that no step sorts them again. The buffers are not
    part of the state, as they are computed from the edges.

    Args:
        edge_index: int64 ``(2, E)``, row 0 sources, row 1 targets. With ``None``, every node
            attends to every node, itself included, and no edges are stored.
        nodes: Number of nodes L.

    Attributes:
        nodes: Number of nodes L.
        edges: Number of edges E.
        complete: Whether every ordered pair, ``j = i`` included, is an edge exactly once.
        simple: Whether there are no duplicate edges.
        isolated: Whether some node has no in-edge.

    Raises:
        InputError: If ``edge_index`` is not int64 ``(2, E)``, or contains a node outside 0 to
            ``nodes`` − 1.
    """

    absent: Tensor
    alone: Tensor
    position: Tensor
    source: Tensor
    target: Tensor
    offsets: Tensor
    sources32: Tensor
    transposed_offsets: Tensor
    transposed_targets: Tensor
    transposed_order: Tensor
    order: Tensor

    def __init__(self, edge_index: Tensor | None, nodes: int) -> None:
        super().__init__()
        self.nodes = nodes
        device = torch.device("cpu")
        if edge_index is None:
            self.edges, self.complete, self.simple = nodes * nodes, True, True
            position = source = target = torch.zeros(0, dtype=torch.long, device=device)
        else:
            _check_edges(edge_index, nodes)
            device = edge_index.device
            key, position = (edge_index[1] * nodes + edge_index[0]).sort(stable=True)
            source, target = edge_index[0][position], edge_index[1][position]
            self.edges = key.numel()
            self.simple = not bool((key[1:] == key[:-1]).any())
            self.complete = self.simple and self.edges == nodes * nodes
        alone = torch.bincount(target, minlength=nodes) == 0
        self.isolated = not self.complete and bool(alone.any())
        self.constant("alone", alone.nonzero()[:, 0] if self.isolated else source.new_zeros(0))
        self.constant("position", position)
        self.constant("source", source)
        self.constant("target", target)
        few = not self.complete and nodes * nodes <= KEPT_PAIRS
        self.constant("absent", self._absent() if few else source.new_zeros(0, dtype=torch.bool))
        if self.complete:  # its kernels read no edges; CSR is built on demand
            csr = CSR(*[torch.zeros(0, dtype=torch.long, device=device)] * 6)
        else:
            csr = _csr(source, target, nodes)
        for name, tensor in zip(self._CSR, csr, strict=True):
            self.constant(name, tensor)

    _CSR = (
        "offsets",
        "sources32",
        "transposed_offsets",
        "transposed_targets",
        "transposed_order",
        "order",
    )

    def sorted_edges(self) -> tuple[Tensor, Tensor]:
        """Returns source and target ``(E,)`` of every edge, sorted by target, then by source."""
        if self.source.numel() == self.edges:
            return self.source, self.target
        every = torch.arange(self.nodes, device=self.source.device)
        return every.repeat(self.nodes), every.repeat_interleave(self.nodes)

    def csr(self) -> CSR:
        """Returns the compressed rows and their transpose."""
        if self.complete:
            return _csr(*self.sorted_edges(), self.nodes)
        return CSR(*(getattr(self, name) for name in self._CSR))

    def in_order(self, per_edge: Tensor) -> Tensor:
        """Reorders ``(E, ...)`` from the order of ``edge_index`` to that of the sorted edges."""
        return per_edge[self.position] if self.position.numel() else per_edge

    def no_edge(self) -> Tensor:
        """Returns a mask ``(L, L)`` by target and source, true where there is no edge."""
        return self.absent if self.absent.numel() else self._absent()

    def _absent(self) -> Tensor:
        pairs = self.nodes * self.nodes
        absent = torch.ones(pairs, dtype=torch.bool, device=self.source.device)
        absent[self.target * self.nodes + self.source] = False
        return absent.view(self.nodes, self.nodes)

    def matrix(self, per_edge: Tensor) -> Tensor:
        """Writes one value per edge, ``(..., E)`` in sorted order, into ``(..., L, L)``.

        Rows are targets. Entries without an edge are zero; values of duplicate edges add up.
        """
        shape = (*per_edge.shape[:-1], self.nodes, self.nodes)
        if self.complete:
            return per_edge.reshape(shape)
        flat = per_edge.new_zeros(*per_edge.shape[:-1], self.nodes * self.nodes)
        return flat.index_add(-1, self.target * self.nodes + self.source, per_edge).view(shape)

    def extra_repr(self) -> str:
        """Returns the arguments shown by ``repr``."""
        return f"nodes={self.nodes}, edges={self.edges}"


def _check_edges(edge_index: Tensor, nodes: int) -> None:
    # The kernels index memory with these numbers, some of them without bounds checks.
    if edge_index.dtype != torch.int64 or edge_index.ndim != 2 or len(edge_index) != 2:
        raise InputError(
            f"edge_index is {str(edge_index.dtype).removeprefix('torch.')} "
            f"{tuple(edge_index.shape)}: expected int64 (2, E), row 0 sources, row 1 targets"
        )
    strange = (edge_index < 0) | (edge_index >= nodes)
    if bool(strange.any()):
        raise InputError(
            f"edge_index contains node {int(edge_index[strange][0])}, but the nodes are numbered 0 "
            f"to {nodes - 1}: correct the edges or the number of nodes"
        )


def _csr(source: Tensor, target: Tensor, nodes: int) -> CSR:
    by_source = torch.argsort(source * nodes + target, stable=True)
    back = torch.empty_like(by_source)
    back[by_source] = torch.arange(len(by_source), device=by_source.device)
    bounds = torch.arange(nodes + 1, device=source.device)
    return CSR(
        torch.searchsorted(target, bounds).int(),
        source.int(),
        torch.searchsorted(source[by_source], bounds).int(),
        target[by_source].int(),
        by_source,
        back,
    )
