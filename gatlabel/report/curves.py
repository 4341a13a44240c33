"""Precision-recall curves and reliability diagrams in SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.decisions.bins import Reliability
from gatlabel.report.markup import number, text
from gatlabel.report.svg import Scale, dot, drawing, frame

_MOST_POINTS = 300  # maximum number of points of a curve: more cannot be seen


@dataclass(frozen=True)
class Size:
    """Size and margins of a chart.

    Attributes:
        width: Width in SVG units.
        height: Height in SVG units.
        left: Margin for the numbers of the vertical axis.
        bottom: Margin for the numbers and the name of the horizontal axis.
        radius: Radius of the point that marks the decision.
    """

    width: float = 460.0
    height: float = 320.0
    left: float = 56.0
    bottom: float = 44.0
    radius: float = 5.0


LARGE = Size()
SMALL = Size(180.0, 140.0, 28.0, 22.0, 3.5)


def precision_recall(
    scores: NDArray[np.float64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns recall and precision at each distinct score, in descending order of scores.

    Args:
        scores: Scores of known entries, ``(n,)``.
        present: Whether each is present, ``(n,)``; at least one is.

    Returns:
        ``(k,)`` each; recall increases to 1.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]  # last entry of each score
    hits = np.cumsum(present[order])[last]
    return hits / present.sum(), hits / (last + 1)


def pr_chart(
    scores: NDArray[np.float64],
    present: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    name: str,
    size: Size = LARGE,
) -> str:
    """Draws a precision-recall curve with the decision on it.

    Args:
        scores: Scores of known entries, ``(n,)``.
        present: Whether each is present, ``(n,)``.
        chosen: The decisions, ``(n,)``.
        name: Subject of the curve, for the alternative text.
        size: Size of the chart.
    """
    x, y = _axes(size)
    recall, precision = precision_recall(scores, present)
    keep = np.unique(np.linspace(0, len(recall) - 1, _MOST_POINTS).round().astype(int))
    steps = "".join(
        f"V{y(p):.1f}H{x(r):.1f}" for r, p in zip(recall[keep], precision[keep], strict=True)
    )
    share = float(present.mean())
    parts = [
        _frame(x, y, "recall", "precision", size),
        f'<path class="chance" d="M{x.start:.1f} {y(share):.1f}H{x.end:.1f}"/>',
        f'<path class="line c0" d="M{x.start:.1f} {y(float(precision[0])):.1f}{steps}"/>',
    ]
    hits = int((chosen & present).sum())
    found = hits / max(int(present.sum()), 1)
    right = hits / int(chosen.sum()) if chosen.any() else math.nan
    if chosen.any():
        title = f"decision: precision {number(right)}, recall {number(found)}"
        parts.append(dot(x(found), y(right), size.radius, "mark c1", title))
    alt = (
        f"Precision-recall curve of {name}; at the decision precision {number(right)}, "
        f"recall {number(found)}"
    )
    return drawing(size.width, size.height, alt, "".join(parts))


def reliability_chart(
    series: Sequence[tuple[str, Reliability]], name: str, size: Size = LARGE
) -> str:
    """Draws observed against predicted frequencies, with intervals of two standard errors.

    Args:
        series: Bins by name of the series; only the first series has intervals.
        name: Subject of the plot, for the alternative text.
        size: Size of the chart.
    """
    x, y = _axes(size)
    parts = [
        _frame(x, y, "predicted", "observed", size),
        f'<path class="chance" d="M{x.start:.1f} {y.start:.1f}L{x.end:.1f} {y.end:.1f}"/>',
    ]
    for k, (what, bins) in reversed(list(enumerate(series))):
        points = list(
            zip(bins.predicted.tolist(), bins.observed.tolist(), bins.count.tolist(), strict=True)
        )
        if k == 0:
            for p, o, n in points:
                half = 2 * math.sqrt(max(o * (1 - o), p * (1 - p)) / n)
                parts.append(
                    f'<path class="interval" d="M{x(p):.1f} {y(o - half):.1f}V{y(o + half):.1f}"/>'
                )
        path = "M" + "L".join(f"{x(p):.1f} {y(o):.1f}" for p, o, _ in points)
        parts.append(f'<path class="line c{k}" d="{path}"><title>{text(what)}</title></path>')
        parts += [
            dot(x(p), y(o), size.radius * 0.7, f"mark c{k}",
                f"{what}: predicted {number(p)}, observed {number(o)}, {n} entries")
            for p, o, n in points
        ]  # fmt: skip
    alt = f"Observed against predicted frequency of {name}"
    return drawing(size.width, size.height, alt, "".join(parts))


def _axes(size: Size) -> tuple[Scale, Scale]:
    top = 34.0 if size is LARGE else 10.0
    return (
        Scale(0.0, 1.0, size.left, size.width - (14 if size is LARGE else 8)),
        Scale(0.0, 1.0, size.height - size.bottom, top),
    )


def _frame(x: Scale, y: Scale, x_name: str, y_name: str, size: Size) -> str:
    """Returns the frame of a chart; a small chart has no axis names, which are in its caption."""
    return frame(x, y, x_name, y_name) if size is LARGE else frame(x, y, "", "")
