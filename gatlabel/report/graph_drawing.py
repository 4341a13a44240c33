"""Drawings of label graphs in SVG: the strongest edges, and prior against learned shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gatlabel.report.graph_layout import WIDTH
from gatlabel.report.markup import number, text
from gatlabel.report.svg import Scale, dot, drawing, frame


def draw_edges(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    share: NDArray[np.float64],
    prior_share: NDArray[np.float64] | None,
    names: Sequence[str],
    place: Mapping[int, tuple[float, float]],
    height: float,
) -> str:
    """Draws directed edges between named labels.

    Args:
        source: ``(E,)`` label positions.
        target: ``(E,)``.
        share: ``(E,)`` share among the target's in-edges, 0 to 1: the width of the line.
        prior_share: ``(E,)`` share before training, whose difference colours the line, or ``None``.
        names: Names by label position.
        place: Position ``(x, y)`` of each label to draw, by label position.
        height: Height of the drawing.
    """
    parts = [_MARKERS]
    order = np.argsort(share, kind="stable")  # strong edges on top
    for e in order.tolist():
        a, b = place[int(source[e])], place[int(target[e])]
        kind, was = "same", ""
        if prior_share is not None:
            difference = float(share[e] - prior_share[e])
            kind = "more" if difference > 0.01 else "less" if difference < -0.01 else "same"
            was = f", prior {number(float(prior_share[e]))}"
        title = (
            f"{names[int(source[e])]} → {names[int(target[e])]}: "
            f"share {number(float(share[e]))}{was}"
        )
        width = 0.8 + 4.2 * math.sqrt(min(max(float(share[e]), 0.0), 1.0))
        parts.append(
            f'<path class="edge {kind}" d="{_arc(a, b)}" stroke-width="{width:.2f}" '
            f'marker-end="url(#{kind})"><title>{text(title)}</title></path>'
        )
    parts += [dot(*place[k], 5, "node", names[k]) for k in place]
    parts += _names(place, names)
    alt = f"Label graph: {len(share)} edges between {len(place)} labels"
    return drawing(WIDTH, height, alt, "".join(parts))


_MARKERS = (
    "<defs>"
    + "".join(
        f'<marker id="{kind}" class="edge-head {kind}" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker>'
        for kind in ("more", "less", "same")
    )
    + "</defs>"
)


def _arc(a: tuple[float, float], b: tuple[float, float]) -> str:
    """Returns a curve that ends before the target's dot; opposite edges do not overlap."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    bend = 0.12
    middle = ((a[0] + b[0]) / 2 - bend * dy, (a[1] + b[1]) / 2 + bend * dx)
    back_x, back_y = middle[0] - b[0], middle[1] - b[1]
    back = math.hypot(back_x, back_y) or 1.0
    stop = min(7.0, length / 3)
    end = (b[0] + back_x / back * stop, b[1] + back_y / back * stop)
    return f"M{a[0]:.1f} {a[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {end[0]:.1f} {end[1]:.1f}"


def _names(place: Mapping[int, tuple[float, float]], names: Sequence[str]) -> list[str]:
    """Writes each label's name on the side of its dot with the most space."""
    boxes = [(x - 5, y - 5, x + 5, y + 5) for x, y in place.values()]
    parts = []
    for k, (x, y) in place.items():
        shown = names[k] if len(names[k]) <= 20 else names[k][:19] + "…"
        width = sum(12.5 if ord(c) > 0x2E80 else 6.8 for c in shown)
        spots = [
            (x - width / 2, y - 21),
            (x - width / 2, y + 7),
            (x + 8, y - 7),
            (x - 8 - width, y - 7),
        ]
        inside = [s for s in spots if s[0] >= 2 and s[0] + width <= WIDTH - 2] or spots[:1]
        left, top = min(inside, key=lambda s: _overlap(boxes, s[0], s[1], width))
        left = min(max(left, 2.0), max(WIDTH - 2 - width, 2.0))
        boxes.append((left, top, left + width, top + 14))
        parts.append(f'<text class="name" x="{left:.1f}" y="{top + 11:.1f}">{text(shown)}</text>')
    return parts


def _overlap(
    boxes: Sequence[tuple[float, float, float, float]], left: float, top: float, width: float
) -> float:
    return sum(
        max(0.0, min(left + width, b[2]) - max(left, b[0]))
        * max(0.0, min(top + 14, b[3]) - max(top, b[1]))
        for b in boxes
    )


def share_scatter(
    prior: NDArray[np.float64], learned: NDArray[np.float64], titles: Sequence[str]
) -> str:
    """Draws learned against prior share, one point per edge, with a line of equality.

    Args:
        prior: ``(E,)``, 0 to 1.
        learned: ``(E,)``, 0 to 1.
        titles: Tooltips of the points.
    """
    high = min(1.0, 1.1 * max(float(prior.max()), float(learned.max()), 0.01))
    x = Scale(0.0, high, 56.0, 446.0)
    y = Scale(0.0, high, 326.0, 34.0)
    parts = [frame(x, y, "share by prior weight", "share by learned attention")]
    parts.append(f'<path class="chance" d="M{x(0)} {y(0)}L{x(high)} {y(high)}"/>')
    for p, q, title in zip(prior.tolist(), learned.tolist(), titles, strict=True):
        parts.append(dot(x(p), y(q), 3, "spot", f"{title}: prior {number(p)}, learned {number(q)}"))
    return drawing(
        460, 370, f"Learned attention against prior share of {len(titles)} edges", "".join(parts)
    )
