"""The benchmark's charts: differences with intervals, curves over settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.store import Run
from gatlabel.experiments.tables import values_of, with_ends
from gatlabel.experiments.verdict import stated
from gatlabel.report.markup import figure, text
from gatlabel.report.svg import Scale, dot, drawing, frame, spread, tick_text

WIDTH, ROW = 940.0, 26.0
LEFT, RIGHT, TOP, BOTTOM = 320.0, 140.0, 20.0, 48.0
COLOURS = 8  # that the style sheet has
LEAST = 0.5  # points that the axis of differences reaches to either side


def difference_chart(comparisons: Sequence[Comparison], against: str) -> str:
    """Returns one row a contender: its difference of mAP with the interval, zero as a line.

    Args:
        comparisons: Of one setting, all against the same.
        against: What they are against, in words.
    """
    comparisons = [c for c in comparisons if not math.isnan(c.difference.value)]
    if not comparisons:
        return ""
    ends = [100 * v for c in comparisons for v in _reach(c)]
    height = TOP + ROW * len(comparisons) + BOTTOM
    # half a point to either side at least: hundredths must not look like differences
    x = Scale(*spread([*ends, -LEAST, LEAST]), LEFT, WIDTH - RIGHT)
    parts = [difference_axis(x, height, against)]
    for k, c in enumerate(comparisons):
        parts.append(interval_row(c, x, TOP + ROW * (k + 0.5), c.ours.title))
    alt = "; ".join(f"{c.ours.title}: {stated(c)}" for c in comparisons)
    caption = (
        f"Difference of mAP to {against}, with 95 % interval. Filled: a contender; hollow: a "
        "control. Green and red: beyond chance after Holm's correction."
    )
    return figure(drawing(WIDTH, height, alt, "".join(parts)), caption, "wide")


def difference_axis(x: Scale, height: float, against: str) -> str:
    """Returns the grid of a chart of differences, its line at zero and the axis below."""
    parts = []
    for value in x.ticks():
        at = x(value)
        parts.append(
            f'<path class="grid" d="M{at:.1f} {TOP}V{height - BOTTOM:.1f}"/>'
            f'<text class="tick" x="{at:.1f}" y="{height - BOTTOM + 17:.1f}" '
            f'text-anchor="middle">{tick_text(value)}</text>'
        )
    parts.append(
        f'<path class="zero" d="M{x(0):.1f} {TOP}V{height - BOTTOM:.1f}"/>'
        f'<text class="axis" x="{(x.start + x.end) / 2:.1f}" y="{height - 10:.1f}" '
        f'text-anchor="middle">mAP minus that of {text(against)}, points</text>'
    )
    return "".join(parts)


def _reach(c: Comparison) -> tuple[float, float]:
    """The ends of the interval, without one those of the difference itself."""
    d = c.difference
    return (d.value, d.value) if d.low is None or d.high is None else (d.low, d.high)


def interval_row(c: Comparison, x: Scale, y: float, label: str) -> str:
    """Returns one difference with its interval, drawn at height ``y``, named on its left."""
    kind = "better" if c.better else "worse" if c.worse else "even"
    low, high = (x(100 * v) for v in _reach(c))
    at = x(100 * c.difference.value)
    hollow = " hollow" if c.ours.is_control else ""
    return (
        f'<text class="who" x="{LEFT - 12:.1f}" y="{y + 4:.1f}" text-anchor="end">'
        f"{text(label)}</text>"
        f'<path class="interval {kind}" d="M{low:.1f} {y:.1f}H{high:.1f}"/>'
        + dot(at, y, 5, f"estimate {kind}{hollow}", f"{c.ours.title}: {stated(c)}")
        + f'<text class="tick" x="{x.end + 12:.1f}" y="{y + 4:.1f}">'
        f"{with_ends(c.difference)}</text>"
    )


def curve_chart(
    runs: Sequence[Run],
    contenders: Sequence[Contender],
    settings: Sequence[Setting],
    positions: Sequence[float],
    x_name: str,
) -> str:
    """Returns mAP over training size or over the share of hidden targets, a line a contender.

    Args:
        runs: All runs.
        contenders: The lines.
        settings: In the order of the axis.
        positions: Where on the axis each stands, as a share.
        x_name: The name of the axis.
    """
    lines = {
        who: [100 * float(np.mean(values_of(runs, who, where, "mAP"))) for where in settings]
        for who in contenders
    }
    width, height = 620.0, 340.0
    log = min(positions) > 0
    low, high = (min(positions) / 1.1, max(positions) * 1.1) if log else spread(positions)
    x = Scale(low, high, 56.0, width - 14.0, log=log)
    y = Scale(*spread([v for values in lines.values() for v in values]), height - 44.0, 34.0)
    parts = [frame(x, y, x_name, "mAP, per cent", x_percent=True)]
    colours = _colours(list(lines))
    keys = []
    for who, values in lines.items():
        both = [(a, b) for a, b in zip(positions, values, strict=True) if not math.isnan(b)]
        path = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in both)
        dash = ' stroke-dasharray="5 4"' if who.is_control else ""
        colour = colours[who]
        if both:
            parts.append(f'<path class="line {colour}" d="{path}"{dash}/>')
        parts += [
            dot(x(a), y(b), 3, f"mark {colour}", f"{who.title}: {b:.1f} at {100 * a:g} %")
            for a, b in both
        ]
        sample = f'<path class="line {colour}" d="M0 3H24"{dash}/>'
        keys.append(
            f'<li><svg class="sample" viewBox="0 0 24 6">{sample}</svg>{text(who.title)}</li>'
        )
    alt = f"mAP over {x_name}"
    picture = drawing(width, height, alt, "".join(parts))
    return f'<figure class="chart">{picture}<ul class="key">{"".join(keys)}</ul></figure>'


def _colours(contenders: Sequence[Contender]) -> dict[Contender, str]:
    """A colour a contender; with one graph, the form without edges has its head's, and dashes."""
    several = len({who.graph for who in contenders} - {""}) > 1
    kinds = {
        who: (who.head, who.graph if several else "", who.unknown, who.completion)
        for who in contenders
    }
    order = list(dict.fromkeys(kinds.values()))
    return {who: f"c{order.index(kind) % COLOURS}" for who, kind in kinds.items()}
