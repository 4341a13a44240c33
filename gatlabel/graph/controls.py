"""Control graphs that show what edges add: no edges, all edges, rewired or permuted edges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from gatlabel.errors import InputError
from gatlabel.graph.association import Conditional
from gatlabel.graph.variant import Variant
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph


@dataclass(frozen=True)
class Identity(Variant):
    """No edges; the control that shows what edges add."""

    name: ClassVar[str] = "identity"

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        from gatlabel.graph.label_graph import LabelGraph

        return LabelGraph(counts.labels, [], variant=self.name, counts=counts)


@dataclass(frozen=True)
class Complete(Variant):
    """All L·(L−1) edges with weight 1, so that only attention decides what is passed on."""

    name: ClassVar[str] = "complete"

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        import torch

        from gatlabel.graph.label_graph import LabelGraph

        edges = (1 - torch.eye(len(counts.labels), dtype=torch.int8)).nonzero().T
        return LabelGraph(counts.labels, edges, variant=self.name, counts=counts)


@dataclass(frozen=True)
class Control(Variant):
    """A randomised copy of another graph.

    Attributes:
        base: The variant to build first, or a label graph of the same labels.
        seed: Seed of the random generator; the same seed gives the same graph.
    """

    base: Any = field(default_factory=Conditional)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self.seed, "seed", 0)
        if isinstance(self.base, Control):
            raise InputError(f"the base of a {self.name} graph must be another variant")

    def _base(self, counts: Counts) -> LabelGraph:
        if isinstance(self.base, Variant):
            return self.base.build(counts)
        graph: LabelGraph = self.base
        counts.labels.require_same_names(graph.names, "the base graph")
        return graph.reorder(counts.labels).with_counts(counts)


@dataclass(frozen=True)
class Random(Control):
    """Another graph, rewired at random: the control for whether its edges mean anything.

    Pairs of edges ``a -> b, c -> d`` become ``a -> d, c -> b`` (Maslov and Sneppen, Science 296,
    2002). The number of swaps is ten times the number of edges. Every label keeps its in-degree,
    its out-degree and the weights of its in-edges. Swaps that would create a self-loop or a
    duplicate edge are skipped. A complete graph does not change.
    """

    name: ClassVar[str] = "random"

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        from gatlabel.graph.rewiring import rewired

        return rewired(self._base(counts), self.seed)


@dataclass(frozen=True)
class Permuted(Control):
    """Another graph with its labels permuted: the control for which labels the edges connect.

    Structure and weights are preserved as a whole (hubs remain hubs, cliques remain cliques), but
    belong to other labels. ``random`` keeps every label's degree and destroys the structure;
    ``permuted`` keeps the structure and changes the degrees of the labels.
    """

    name: ClassVar[str] = "permuted"

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph; see :meth:`Variant.build`."""
        from gatlabel.graph.rewiring import permuted

        return permuted(self._base(counts), self.seed)
