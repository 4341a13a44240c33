"""The report's section on the label graph and learned attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.report.content import GraphLike, ReportContent, as_array
from gatlabel.report.graph_drawing import draw_edges, share_scatter
from gatlabel.report.graph_layout import place_labels
from gatlabel.report.markup import (
    Cell,
    anchor_of,
    figure,
    number,
    number_cell,
    section,
    table,
    text_cell,
)

MOST_ROWS = 60
MOST_DRAWN = 90
MOST_ALL_LABELS = 30  # in a larger graph only the labels of drawn edges appear


@dataclass(frozen=True)
class EdgeView:
    """The edges of a graph without self-loops, with prior and learned shares.

    Attributes:
        source: int64 ``(E,)``.
        target: int64 ``(E,)``.
        prior: ``(E,)`` weights of the graph.
        prior_share: ``(E,)`` prior divided by the sum over the target's in-edges, 0 to 1.
        in_degree: ``(E,)`` in-edges of the edge's target.
        heads: ``(E, H)`` learned attention, or ``None``.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    prior: NDArray[np.float64]
    prior_share: NDArray[np.float64]
    in_degree: NDArray[np.int64]
    heads: NDArray[np.float64] | None

    @property
    def shown(self) -> NDArray[np.float64]:
        """Share of each edge among its target's in-edges: learned if known, else prior."""
        return self.prior_share if self.heads is None else self.heads.mean(axis=1)

    @property
    def gain(self) -> NDArray[np.float64]:
        """Share of each edge relative to an equal share; 1 for the only in-edge of a label."""
        return self.shown * self.in_degree

    def strongest(self) -> NDArray[np.int64]:
        """Positions of the edges, by descending share relative to an equal share."""
        return np.lexsort((-self.prior, -self.shown, -np.round(self.gain, 6))).astype(np.int64)


def edge_view(graph: GraphLike, attention: NDArray[np.float64] | None) -> EdgeView:
    """Reads a graph's edges; self-loops are excluded."""
    index = as_array(graph.edge_index).astype(np.int64).reshape(2, -1)
    keep = index[0] != index[1]
    source, target = index[0, keep], index[1, keep]
    prior = as_array(graph.edge_weight)[keep]
    L = len(graph.names)
    total = np.bincount(target, weights=np.maximum(prior, 0), minlength=L)[target]
    share = np.divide(np.maximum(prior, 0), total, out=np.zeros_like(prior), where=total > 0)
    degree = np.bincount(target, minlength=L)[target].astype(np.int64)
    heads = None
    if attention is not None:
        heads = attention[keep] if attention.ndim == 2 else attention[keep, None]
    return EdgeView(source, target, prior, share, degree, heads)


def graph_section(content: ReportContent, task: str = "") -> str:
    """Returns the drawing of the strongest edges, prior against attention, and the edge table.

    Args:
        content: What it shows.
        task: Whose graph it is, in a report of several tasks.
    """
    if content.graph is None:
        return ""
    title = f"Label graph: {task}" if task else "Label graph"
    attention = None if content.attention is None else as_array(content.attention)
    edges = edge_view(content.graph, attention)
    E, L = len(edges.prior), len(content.labels)
    connected = len(set(edges.source.tolist()) | set(edges.target.tolist()))
    facts = (
        f"<p>{_count(L, 'label')}, {_count(E, 'directed edge')}, {_count(L - connected, 'label')} "
        "without any neighbour. Along an edge source → target, the target receives the source's "
        "evidence.</p>"
    )
    if not E:
        return section(anchor_of("graph", task), title, facts)
    strongest = edges.strongest()
    drawn = strongest[: min(MOST_DRAWN if L <= 200 else 60, max(3 * L, 12))]
    pairs = zip(edges.source[drawn].tolist(), edges.target[drawn].tolist(), strict=True)
    places, height = place_labels(range(L) if L <= MOST_ALL_LABELS else (), pairs)
    names = list(content.labels)
    learned = edges.heads is not None
    parts = [facts]
    if learned:
        parts.append(
            "<p>Attention shows which neighbours a label uses, not that using them helps: for "
            "that, compare with a model trained on a random graph of the same degrees.</p>"
        )
    caption = (
        f"The {len(drawn)} of {E} edges furthest above an equal share of their target's "
        f"{'attention' if learned else 'prior weight'}. Thicker: larger share"
        + ("; orange: more than its prior share, blue: less." if learned else ".")
    )
    parts.append(
        figure(
            draw_edges(
                edges.source[drawn],
                edges.target[drawn],
                edges.shown[drawn],
                edges.prior_share[drawn] if learned else None,
                names,
                places,
                height,
            ),
            caption,
            "wide",
        )
    )
    if learned:
        parts.append(_scatter(edges, names))
    parts.append(_table(edges, strongest[:MOST_ROWS], names))
    title += " and learned attention" if learned else ""
    return section(anchor_of("graph", task), title, *parts)


def _count(number_of: int, what: str) -> str:
    return f"{number_of} {what}{'s' * (number_of != 1)}"


def _scatter(edges: EdgeView, names: list[str]) -> str:
    free = np.flatnonzero(edges.in_degree > 1)  # a single neighbour always has share 1
    if not len(free):
        return ""
    prior, learned = edges.prior_share[free], edges.shown[free]
    caption = "Edges whose target has several in-edges"
    if np.ptp(prior) > 1e-9 and np.ptp(learned) > 1e-9:
        r = float(np.corrcoef(prior, learned)[0, 1])
        caption += f" (correlation {number(r, 2)})"
    if len(free) > 1500:
        chosen = np.sort(np.random.default_rng(0).permutation(len(free))[:1500])
        free, prior, learned = free[chosen], prior[chosen], learned[chosen]
        caption += ", 1500 of them drawn"
    caption += ". On the line, attention equals the prior."
    titles = [f"{names[edges.source[e]]} → {names[edges.target[e]]}" for e in free]
    return figure(share_scatter(prior, learned, titles), caption, "beside")


def _table(edges: EdgeView, rows: NDArray[np.int64], names: list[str]) -> str:
    head = ["source", "target", "prior weight", "prior share", "in-edges"]
    if edges.heads is not None:
        head += ["attention", "× equal share"]
        if edges.heads.shape[1] > 1:
            head.append("over heads")
    body = []
    for e in rows.tolist():
        row = [text_cell(names[edges.source[e]]), text_cell(names[edges.target[e]])]
        row += [number_cell(edges.prior[e]), number_cell(edges.prior_share[e])]
        row.append(Cell(str(edges.in_degree[e]), float(edges.in_degree[e])))
        if edges.heads is not None:
            row += [number_cell(edges.shown[e]), number_cell(edges.gain[e], 2)]
            if edges.heads.shape[1] > 1:
                low, high = edges.heads[e].min(), edges.heads[e].max()
                row.append(Cell(f"{number(low, 2)} to {number(high, 2)}", float(high - low)))
        body.append(row)
    caption = f"Strongest {len(body)} of {len(edges.prior)} edges"
    return table(head, body, caption=caption)
