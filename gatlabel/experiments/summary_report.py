"""The page of a summary: verdict, differences by contender and data set, tables, sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatlabel.experiments.charts import (
    BOTTOM,
    LEAST,
    LEFT,
    RIGHT,
    ROW,
    TOP,
    WIDTH,
    difference_axis,
    interval_row,
)
from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.report import STYLE, cell_table
from gatlabel.experiments.summary_tables import (
    comparison_table,
    difference_and_p,
    has_interval,
    references,
    shown_at_all,
    source_table,
    tables,
)
from gatlabel.experiments.verdict import stated
from gatlabel.report.document import document
from gatlabel.report.markup import figure, section, text
from gatlabel.report.svg import Scale, drawing, spread

if TYPE_CHECKING:
    from gatlabel.experiments.summary import Summary

Named = tuple[str, Comparison]  # with its data set


def render_summary(summary: Summary) -> str:
    """Returns the page as HTML that fetches nothing."""
    sections = {"Differences": _differences(summary)}
    parts = []
    for where in summary.settings:
        parts += [
            cell_table(head, rows, name) for name, head, rows in tables(summary.results, where)
        ]
    sections["Results"] = section(
        "results", "Results", f"<p>{text(summary.explanation)}</p>", *parts
    )
    head, rows = comparison_table(summary.results)
    compared = [cell_table(head, rows, "Tested differences of mAP, points")] if rows else []
    sections["Comparisons"] = section("comparisons", "Comparisons", *compared)
    sources = cell_table(*source_table(summary.results), "What each folder holds")
    sections["Sources"] = section("sources", "Sources", sources)
    verdict = "".join(f'<p class="verdict">{text(line)}</p>' for line in summary.verdict)
    runs = sum(len(result.runs) for result in summary.results.values())
    return document(
        summary.title, f"gatlabel benchmark summary, {runs} runs", verdict, sections, STYLE + GROUP
    )


GROUP = ".group { fill: var(--ink); font-weight: 600; }\n"


def _differences(summary: Summary) -> str:
    parts = []
    for where in summary.settings:
        here = [
            (name, c)
            for name, cs in summary.comparisons.items()
            for c in cs
            if c.setting == where and shown_at_all(c)
        ]
        for against, words in references(c for _, c in here).items():
            chart = summary_chart([(n, c) for n, c in here if c.against == against], words)
            about = ", ".join(part for part in (f"To {words}", where.title) if part)
            parts += [f"<h3>{text(about)}</h3>", chart] if chart else []
    return section("differences", "Differences", *parts)


def summary_chart(found: Sequence[Named], against: str) -> str:
    """Returns the differences of every contender, a row a data set, zero as a line.

    Args:
        found: Data sets and comparisons of one setting, all against the same.
        against: What they are against, in words.
    """
    sure = [(name, c) for name, c in found if has_interval(c)]
    if not sure:
        return ""
    ends = [100 * v for _, c in sure for v in difference_and_p(c)[1:3]]
    x = Scale(*spread([*ends, -LEAST, LEAST]), LEFT, WIDTH - RIGHT)
    everyone = list(dict.fromkeys(c.ours for _, c in found))
    height = TOP + ROW * (len(found) + len(everyone)) + BOTTOM
    parts, y = [difference_axis(x, height, against)], TOP + ROW / 2
    for who in everyone:
        parts.append(f'<text class="group" x="0" y="{y + 4:.1f}">{text(who.title)}</text>')
        for name, c in (pair for pair in found if pair[1].ours == who):
            y += ROW
            if has_interval(c):
                parts.append(interval_row(c, x, y, name))
            else:
                parts.append(_empty_row(name, x, y))
        y += ROW
    alt = "; ".join(f"{c.ours.title} on {name}: {stated(c)}" for name, c in sure)
    caption = (
        f"Difference of mAP to {against}, with 95 % interval, by data set. Hollow: a head "
        "without edges. Green and red: beyond chance after Holm's correction over all data sets."
    )
    return figure(drawing(WIDTH, height, alt, "".join(parts)), caption, "wide")


def _empty_row(name: str, x: Scale, y: float) -> str:
    return (
        f'<text class="who" x="{LEFT - 12:.1f}" y="{y + 4:.1f}" text-anchor="end">{text(name)}'
        f'</text><text class="tick" x="{x.end + 12:.1f}" y="{y + 4:.1f}">–</text>'
    )
