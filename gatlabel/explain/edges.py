"""The edges of a head with their contributions, as a table and as a drawing."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlabel.csv_files import write_csv
from gatlabel.errors import InputError
from gatlabel.explain.removal import contribution_share, removal_effect
from gatlabel.graph import LabelGraph
from gatlabel.nn import EdgeHead, Foldable


@dataclass(frozen=True)
class EdgeExplanation:
    """One edge ``source -> target`` and its effect.

    Attributes:
        source: The neighbour.
        target: The label whose logit the edge contributes to.
        weight: Weight of the edge in the graph.
        attention: Share of the target's attention, mean over heads, 0 to 1; NaN for a head
            without attention, or with attention that depends on the image.
        attention_before: The same before training; NaN if not requested.
        contribution: Share of the target's classifier that depends on the edge (see
            :func:`~gatlabel.explain.contribution_share`). For a head that depends on the image:
            share of its logit's spread (see :class:`~gatlabel.explain.removal.RemovalEffect`).
        contribution_before: The same before training; NaN if not requested.
        ap_change: AP of the target with the edge minus AP without it; NaN without images.
    """

    source: str
    target: str
    weight: float
    attention: float
    attention_before: float
    contribution: float
    contribution_before: float
    ap_change: float


@dataclass(frozen=True)
class GraphExplanation:
    """The edges of one head, explained.

    Attributes:
        names: The L label names.
        edges: One entry per edge, in the order of the head's edges.
        total: Number of edges of the head, explained or not; ``None`` if not known.
    """

    names: tuple[str, ...]
    edges: tuple[EdgeExplanation, ...]
    total: int | None = None

    def strongest(self, most: int | None = None) -> tuple[EdgeExplanation, ...]:
        """Returns at most ``most`` edges, in descending order of contribution."""
        return tuple(sorted(self.edges, key=lambda edge: -edge.contribution)[:most])

    def neighbours(self, target: str) -> tuple[EdgeExplanation, ...]:
        """Returns the in-edges of one label, the largest contribution first.

        Raises:
            InputError: If there is no such label.
        """
        if target not in self.names:
            from gatlabel.errors import unknown_choice

            raise unknown_choice("label", target, self.names)
        return tuple(edge for edge in self.strongest() if edge.target == target)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a CSV file with one row per edge; cells of unknown values are empty.

        Names that a spreadsheet would execute get an apostrophe; see :mod:`gatlabel.csv_files`.

        Raises:
            InputError: If the file cannot be written.
        """
        columns = [field.name for field in dataclasses.fields(EdgeExplanation)]
        rows = [
            {name: "" if _is_nan(value) else value for name, value in vars(edge).items()}
            for edge in self.edges
        ]
        write_csv(path, columns, rows)

    def graph(self, *, before: bool = False) -> LabelGraph:
        """Returns the label graph with contributions as weights, without edges of 0."""
        rows = [
            (edge.source, edge.target, edge.contribution_before if before else edge.contribution)
            for edge in self.edges
        ]
        kept = [row for row in rows if row[2] > 1e-6]
        return LabelGraph.from_edges(kept, self.names)

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draws the contributions, before training (if known) and after, side by side.

        Raises:
            InputError: If the file is not a png, svg or pdf.
        """
        from gatlabel.graph.drawing import draw_graphs

        images: dict[str, LabelGraph] = {}
        if any(not _is_nan(edge.contribution_before) for edge in self.edges):
            images["contributions before training"] = self.graph(before=True)
        images["contributions after training"] = self.graph()
        draw_graphs(images, path)


def explain_graph(
    head: EdgeHead,
    graph: LabelGraph | Sequence[str],
    features: Tensor | None = None,
    targets: Tensor | None = None,
    *,
    before: EdgeHead | None = None,
    edges: Sequence[int] | None = None,
) -> GraphExplanation:
    """Explains the edges of a head: attention, contribution and effect on AP.

    Args:
        head: A trained head with a graph.
        graph: Its graph, or the L label names.
        features: The head's input for N images; needed for ``ap_change``, and for heads whose
            classifiers depend on the image.
        targets: ``(N, L)`` of 1, 0, -1, for these images.
        before: The same head before training, for comparison.
        edges: Positions of the edges to explain; all if ``None``. Each costs one evaluation of
            the head.

    Raises:
        InputError: If the head has no graph, its labels are not those of the graph, images are
            missing, or ``before`` has other edges.
    """
    names = graph.names if isinstance(graph, LabelGraph) else tuple(graph)
    if not isinstance(head, EdgeHead):
        raise InputError("the head has no label graph: there are no edges to explain")
    if len(names) != head.out_features:
        raise InputError(f"{len(names)} label names for a head of {head.out_features} labels")
    if (features is None) != (targets is None):
        raise InputError("give both features and targets of the images, or neither")
    if features is None and not isinstance(head, Foldable):
        raise InputError(f"the head {head.kind!r} depends on the image: give features")
    if before is not None and not torch.equal(before.edge_index, head.edge_index):
        raise InputError("the head before training has other edges")
    chosen = list(range(head.edge_index.shape[1]) if edges is None else edges)
    nan = torch.full((len(chosen),), math.nan, dtype=torch.float64)
    spread, change = nan, nan
    if features is not None and targets is not None:
        effect = removal_effect(head, features, targets, chosen)
        spread, change = effect.spread, effect.ap_change
    columns = {
        "weight": head.edge_weight[chosen],
        "attention": _attention(head, chosen, nan),
        "attention_before": nan if before is None else _attention(before, chosen, nan),
        "contribution": contribution_share(head, chosen) if isinstance(head, Foldable) else spread,
        "contribution_before": nan
        if before is None
        else _contribution_before(before, features, targets, chosen),
        "ap_change": change,
    }
    values: Mapping[str, list[float]] = {k: v.double().tolist() for k, v in columns.items()}
    rows = []
    for row, edge in enumerate(chosen):
        source, target = (names[int(k)] for k in head.edge_index[:, edge])
        rows.append(EdgeExplanation(source, target, **{k: v[row] for k, v in values.items()}))
    return GraphExplanation(tuple(names), tuple(rows), head.edge_index.shape[1])


def _contribution_before(
    head: EdgeHead, features: Tensor | None, targets: Tensor | None, edges: Sequence[int]
) -> Tensor:
    if isinstance(head, Foldable):
        return contribution_share(head, edges)
    assert features is not None
    assert targets is not None
    return removal_effect(head, features, targets, edges).spread


@torch.no_grad()
def _attention(head: EdgeHead, edges: Sequence[int], unknown: Tensor) -> Tensor:
    """The head's attention on its own edges, mean over attention heads."""
    found = head.attention()
    if found is None:
        return unknown
    # the edges of a stack include self-loops, so look each edge up
    where = {tuple(edge): row for row, edge in enumerate(found[0].T.tolist())}
    rows = [where[tuple(head.edge_index[:, edge].tolist())] for edge in edges]
    return found[1][rows].mean(1).double()


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
