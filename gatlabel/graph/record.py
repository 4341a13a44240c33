"""A label graph as plain values, exchanged with files, drawings and other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gatlabel.graph.label_counts import LabelCounts

#: The meaning of an edge: its two labels occur together, or they are alike.
Relation = Literal["cooccurrence", "similarity"]


@dataclass(frozen=True, eq=False)
class GraphRecord:
    """The arguments of a :class:`~gatlabel.graph.LabelGraph`, which checks them.

    Attributes:
        names: The L label names.
        edge_index: ``(2, E)``, row 0 sources, row 1 targets.
        edge_weight: ``(E,)``, or ``None`` for 1 everywhere.
        self_loops: Whether self-loops are allowed.
        variant: Name of the variant the graph was built with.
        options: Options of the variant, as JSON values.
        relation: The meaning of an edge.
        label_counts: How often each label occurs in the images the graph was built from.
        node_features: Label vectors ``(L, F)`` that belong to the graph.
    """

    names: Iterable[str]
    edge_index: Any
    edge_weight: Any = None
    self_loops: bool = False
    variant: str | None = None
    options: Mapping[str, Any] | None = None
    relation: Relation = "cooccurrence"
    label_counts: LabelCounts | None = None
    node_features: Any = None
