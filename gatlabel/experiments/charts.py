"""Charts of benchmarks: differences with intervals, and curves over conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.methods import Method
from gatlabel.experiments.wording import stated, with_ends
from gatlabel.report.markup import figure, text
from gatlabel.report.svg import Scale, dot, drawing, frame, spread, tick_text

Named = tuple[str, Comparison]  # with the name of its data set

WIDTH, ROW = 940.0, 26.0
LEFT, RIGHT, TOP, BOTTOM = 320.0, 140.0, 20.0, 48.0
COLOURS = 8  # defined in the style sheet
LEAST = 0.5  # minimum extent of the difference axis to either side, in points


def difference_chart(found: Sequence[Named], against: str, *, grouped: bool = False) -> str:
    """Returns a chart of mAP differences with intervals and a line at zero.

    Args:
        found: Data sets and comparisons of one condition, all against the same baseline.
        against: Name of the baseline.
        grouped: With several data sets: one row per data set under each method, with a dash if
            there is no difference. Otherwise one row per method.
    """
    drawn = [(name, c) for name, c in found if not math.isnan(c.difference.value)]
    if not drawn:
        return ""
    rows = _grouped(found) if grouped else [(c.ours.title, c) for _, c in drawn]
    height = TOP + ROW * len(rows) + BOTTOM
    ends = [100 * v for _, c in drawn for v in _reach(c)]
    # at least half a point to either side: hundredths must not look like differences
    x = Scale(*spread([*ends, -LEAST, LEAST]), LEFT, WIDTH - RIGHT)
    parts = [_axis(x, height, against)]
    parts += [_row(label, c, x, TOP + ROW * (k + 0.5)) for k, (label, c) in enumerate(rows)]
    names = [f"{c.ours.title} on {n}" if grouped else c.ours.title for n, c in drawn]
    alt = "; ".join(f"{n}: {stated(c)}" for n, (_, c) in zip(names, drawn, strict=True))
    caption = (
        f"Difference in mAP to {against}, with 95 % interval. Filled: a method; hollow: a "
        "control. Green and red: significant after Holm's correction."
    )
    return figure(drawing(WIDTH, height, alt, "".join(parts)), caption, "wide")


def _grouped(found: Sequence[Named]) -> list[tuple[str, Comparison | None]]:
    """Returns the rows of several data sets, with each method's name as a heading."""
    rows: list[tuple[str, Comparison | None]] = []
    for method in dict.fromkeys(c.ours for _, c in found):
        rows += [(method.title, None), *(pair for pair in found if pair[1].ours == method)]
    return rows


def _axis(x: Scale, height: float, against: str) -> str:
    """Draws the grid of a difference chart, its line at zero and the axis."""
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
    """Returns the ends of the interval, or twice the difference if there is none."""
    d = c.difference
    return (d.value, d.value) if d.low is None or d.high is None else (d.low, d.high)


def _row(label: str, c: Comparison | None, x: Scale, y: float) -> str:
    """Draws a difference with its interval at height ``y``, or the heading of a group."""
    if c is None:
        return f'<text class="group" x="0" y="{y + 4:.1f}">{text(label)}</text>'
    drawn = ""
    if not math.isnan(c.difference.value):
        kind = "better" if c.better else "worse" if c.worse else "even"
        low, high = (x(100 * v) for v in _reach(c))
        hollow = " hollow" if c.ours.is_control else ""
        drawn = f'<path class="interval {kind}" d="M{low:.1f} {y:.1f}H{high:.1f}"/>' + dot(
            x(100 * c.difference.value),
            y,
            5,
            f"estimate {kind}{hollow}",
            f"{c.ours.title}: {stated(c)}",
        )
    return (
        f'<text class="name" x="{LEFT - 12:.1f}" y="{y + 4:.1f}" text-anchor="end">'
        f'{text(label)}</text>{drawn}<text class="tick" x="{x.end + 12:.1f}" y="{y + 4:.1f}">'
        f"{with_ends(c.difference)}</text>"
    )


def curve_chart(
    lines: Mapping[Method, Sequence[float]], positions: Sequence[float], x_name: str
) -> str:
    """Returns a chart of mAP by training size or masked share, with one line per method.

    Args:
        lines: mAP of every method in per cent at each position; NaN if missing.
        positions: Positions on the axis, as shares.
        x_name: Name of the axis.
    """
    width, height = 620.0, 340.0
    log = min(positions) > 0
    low, high = (min(positions) / 1.1, max(positions) * 1.1) if log else spread(positions)
    x = Scale(low, high, 56.0, width - 14.0, log=log)
    y = Scale(*spread([v for values in lines.values() for v in values]), height - 44.0, 34.0)
    parts = [frame(x, y, x_name, "mAP, per cent", x_percent=True)]
    colours = _colours(list(lines))
    keys = []
    for method, values in lines.items():
        both = [(a, b) for a, b in zip(positions, values, strict=True) if not math.isnan(b)]
        path = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in both)
        dash = ' stroke-dasharray="5 4"' if method.is_control else ""
        colour = colours[method]
        if both:
            parts.append(f'<path class="line {colour}" d="{path}"{dash}/>')
        parts += [
            dot(x(a), y(b), 3, f"mark {colour}", f"{method.title}: {b:.1f} at {100 * a:g} %")
            for a, b in both
        ]
        sample = f'<path class="line {colour}" d="M0 3H24"{dash}/>'
        keys.append(
            f'<li><svg class="sample" viewBox="0 0 24 6">{sample}</svg>{text(method.title)}</li>'
        )
    alt = f"mAP over {x_name}"
    chart = drawing(width, height, alt, "".join(parts))
    return f'<figure class="chart">{chart}<ul class="key">{"".join(keys)}</ul></figure>'


def _colours(methods: Sequence[Method]) -> dict[Method, str]:
    """Assigns colours: with one graph, a control without edges has its head's colour, dashed."""
    several = len({method.graph for method in methods} - {""}) > 1
    kinds = {
        method: (method.head, method.graph if several else "", method.unknown, method.completion)
        for method in methods
    }
    order = list(dict.fromkeys(kinds.values()))
    return {method: f"c{order.index(kind) % COLOURS}" for method, kind in kinds.items()}
