"""The methods compared: heads on graphs, and controls that show the effect of their edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gatlabel.baselines.classical.options import CLASSICAL
from gatlabel.errors import InputError, unknown_choice
from gatlabel.missing import UNKNOWN
from gatlabel.nn import HEADS, GraphAblatable

#: Treatments of unknown labels after which targets are not soft.
HARD = ("ignore", "negative")
#: Treatments of the edges of a method's graph, and their names in tables.
EDGES: dict[str, str] = {
    "own": "",
    "none": "no edges",
    "random": "random edges",
    "permuted": "permuted labels",
    "ablated": "edges ablated at test",
}


@dataclass(frozen=True)
class Method:
    """A head with its graph and treatment of unknown labels, without the seed.

    Attributes:
        head: Name of the head, or of the classical method.
        graph: The graph as given by the caller; empty for heads without a graph.
        edges: A key of :data:`EDGES`: the graph's own edges or a control. ``ablated`` is never
            trained: it is the trained ``own`` evaluated without edges.
        unknown: Treatment of unknown training targets, a key of :data:`~gatlabel.missing.UNKNOWN`.
        completion: With ``complete``: the edges of the graph that completion uses (``own``,
            ``none`` or ``random``); otherwise empty.
    """

    head: str
    graph: str = ""
    edges: str = "own"
    unknown: str = "ignore"
    completion: str = ""

    @property
    def title(self) -> str:
        """Its name in tables: ``gat · npmi · random edges``."""
        parts = [self.head, self.graph, EDGES[self.edges]]
        if self.unknown != "ignore":
            parts.append(f"unknown: {self.unknown}")
        if self.completion in ("none", "random"):
            parts.append(f"completed with {EDGES[self.completion]}")
        return " · ".join(part for part in parts if part)

    @property
    def key(self) -> str:
        """Its name in files and tables of numbers, unique among methods."""
        parts = (self.head, self.graph, self.edges, self.unknown, self.completion)
        return "~".join(part or "-" for part in parts)

    @property
    def is_control(self) -> bool:
        """Whether it is a control."""
        return self.edges != "own" or self.completion in ("none", "random")

    @property
    def trained_as(self) -> Method:
        """The method whose training run it uses: itself, except for ``ablated``."""
        return replace(self, edges="own") if self.edges == "ablated" else self


def takes_graph(head: str) -> bool:
    """Whether a head is built over a label graph.

    Raises:
        InputError: If there is no such head.
    """
    if head in CLASSICAL:
        return False
    if head not in HEADS:
        raise unknown_choice("head", head, HEADS)
    return issubclass(HEADS[head], GraphAblatable)


def list_methods(
    heads: Sequence[str],
    graphs: Sequence[str],
    unknown: Sequence[str] = ("ignore",),
    unchanged: Sequence[tuple[str, str]] = (),
    classical: Sequence[str] = (),
) -> list[Method]:
    """Lists all methods including controls, ``linear`` first.

    Every head with a graph comes with: no edges (one for all graphs), and for each graph its own
    edges, random edges of the same degrees, permuted labels, and its edges ablated at test. These
    controls use the first treatment of unknown labels. ``complete`` has its own controls:
    completion without edges and with random edges.

    Args:
        heads: Names of heads; ``linear`` is always included.
        graphs: Label graphs as given by the caller.
        unknown: Treatments of unknown labels.
        unchanged: Pairs (graph, control) to omit because the control equals the graph (a complete
            graph equals its rewiring).
        classical: Names of classical methods, with the treatments after which targets are not soft.

    Raises:
        InputError: If a head or treatment is unknown, or an argument is empty.
    """
    for treatment in unknown:
        if treatment not in UNKNOWN:
            raise unknown_choice("treatment of unknown labels", treatment, UNKNOWN)
    if not graphs or not unknown:
        raise InputError("give at least one graph and one treatment of unknown labels")
    found: list[Method] = []
    for head in dict.fromkeys(["linear", *heads]):
        if not takes_graph(head):
            found += _treated(Method(head), unknown, graphs, unchanged)
            continue
        found += _treated(Method(head, edges="none"), unknown, graphs, unchanged)
        for graph in dict.fromkeys(graphs):
            own = Method(head, graph)
            found += _treated(own, unknown, [graph], unchanged)
            wanted = [e for e in ("random", "permuted") if (graph, e) not in unchanged]
            first = [c for c in _treated(own, unknown[:1], [graph]) if not c.is_control]
            found += [replace(c, edges=edges) for c in first for edges in wanted]
            found += [replace(c, edges="ablated") for c in first]
    hard = [treatment for treatment in unknown if treatment in HARD] or ["ignore"]
    found += [Method(name, unknown=treatment) for name in classical for treatment in hard]
    return list(dict.fromkeys(found))


def _treated(
    base: Method,
    unknown: Sequence[str],
    graphs: Sequence[str],
    unchanged: Sequence[tuple[str, str]] = (),
) -> list[Method]:
    """Returns a method with every treatment; completion needs a graph even if the head has none."""
    found = []
    for treatment in unknown:
        if treatment != "complete":
            found.append(replace(base, unknown=treatment))
            continue
        for graph in [base.graph] if base.graph else graphs:
            with_graph = replace(base, graph=graph, unknown="complete")
            wanted = ["own", "none"] + ["random"] * ((graph, "random") not in unchanged)
            if base.edges == "none":  # a control of the head, not of completion
                wanted = ["own"]
            found += [replace(with_graph, completion=edges) for edges in wanted]
    return found
