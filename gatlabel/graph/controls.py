"""Graphs that show what edges add: none, all, and those of another graph moved about."""

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
    """No edges: every label for itself. The control that shows what edges add."""

    name: ClassVar[str] = "identity"

    def build(self, counts: Counts) -> LabelGraph:
        """Makes the graph; see :meth:`Variant.build`."""
        from gatlabel.graph.label_graph import LabelGraph

        return LabelGraph(counts.labels, [], variant=self.name, counts=counts)


@dataclass(frozen=True)
class Complete(Variant):
    """An edge of weight 1 between all labels: attention alone decides. L·(L−1) edges."""

    name: ClassVar[str] = "complete"

    def build(self, counts: Counts) -> LabelGraph:
        """Makes the graph; see :meth:`Variant.build`."""
        import torch

        from gatlabel.graph.label_graph import LabelGraph

        edges = (1 - torch.eye(len(counts.labels), dtype=torch.int8)).nonzero().T
        return LabelGraph(counts.labels, edges, variant=self.name, counts=counts)


@dataclass(frozen=True)
class Control(Variant):
    """Another graph with its edges moved about.

    Attributes:
        base: The variant to build first, or a label graph of the same labels.
        seed: Of the randomness; the same seed gives the same graph.
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
    2002), ten times as often as there are edges. Every label keeps its number of out-neighbours
    and of in-neighbours and the weights of its in-edges; a swap that would make a self-loop or a
    second edge is passed over. A complete graph stays as it is.
    """

    name: ClassVar[str] = "random"

    def build(self, counts: Counts) -> LabelGraph:
        """Makes the graph; see :meth:`Variant.build`."""
        from gatlabel.graph.rewiring import rewired

        return rewired(self._base(counts), self.seed)


@dataclass(frozen=True)
class Permuted(Control):
    """Another graph with its labels shuffled: the control for whose edges they are.

    Structure and weights stay as a whole (hubs stay hubs, cliques cliques), but stand between
    other labels. Where ``random`` keeps every label's degree and destroys the structure, this keeps
    the structure and destroys the degrees.
    """

    name: ClassVar[str] = "permuted"

    def build(self, counts: Counts) -> LabelGraph:
        """Makes the graph; see :meth:`Variant.build`."""
        from gatlabel.graph.rewiring import permuted

        return permuted(self._base(counts), self.seed)
