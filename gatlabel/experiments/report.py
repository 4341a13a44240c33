"""The benchmark's report: verdict, differences, tables, protocol, in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatlabel.experiments.charts import curve_chart, difference_chart
from gatlabel.experiments.comparisons import (
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    LINEAR,
    NO_EDGES,
    Comparison,
)
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.tables import comparison_rows, result_rows
from gatlabel.report.document import document
from gatlabel.report.markup import Cell, section, table, text, text_cell

if TYPE_CHECKING:
    from gatlabel.experiments.result import BenchmarkResult

# What the style sheet of runs' reports lacks.
STYLE = """
.verdict { font-size: 1.2rem; line-height: 1.4; max-width: 70ch; }
.zero { stroke: var(--ink); stroke-width: 1.2; fill: none; }
.who { fill: var(--ink); }
td:first-child { white-space: nowrap; }
.interval { stroke: var(--k); stroke-width: 2; fill: none; }
.estimate { fill: var(--k); stroke: var(--k); stroke-width: 2; }
.estimate.hollow { fill: var(--panel); }
.better { --k: var(--green); } .worse { --k: var(--red); } .even { --k: var(--soft); }
"""


def render(result: BenchmarkResult) -> str:
    """Returns the report as HTML that fetches nothing."""
    from gatlabel.experiments.result import EXPLANATION

    sections = {"Differences": _differences(result), "Curves": _curves(result)}
    sections["Results"] = section(
        "results", "Results", f"<p>{text(EXPLANATION)}</p>", *_result_tables(result)
    )
    sections["Comparisons"] = section("comparisons", "Comparisons", *_comparison_tables(result))
    sections["Protocol"] = _facts("protocol", "Protocol", dict(result.protocol))
    versions = {f"{name}": str(v) for name, v in result.machine["versions"].items()}
    own = {k: str(v) for k, v in result.machine.items() if k != "versions"}
    sections["Machine"] = _facts("machine", "Machine", {**own, **versions})
    verdict = "".join(f'<p class="verdict">{text(line)}</p>' for line in result.verdict)
    about = f"gatlabel benchmark, {len(result.runs)} runs, {len(result.seeds)} seeds"
    return document(result.title, about, verdict, sections, STYLE)


def _differences(result: BenchmarkResult) -> str:
    parts = []
    for where in result.settings:
        here = [c for c in result.comparisons if c.setting == where]
        parts.append(_subtitle(where))
        for against, words in _references(here):
            chart = difference_chart([c for c in here if c.against == against], words)
            parts += [f"<h3>To {text(words)}</h3>", chart] if chart else []
    return section("differences", "Differences", *parts)


def _references(here: Sequence[Comparison]) -> list[tuple[str, str]]:
    """What the charts are against, and in words: linear, no edges, first treatment, controls."""
    words = {
        LINEAR: "the linear head",
        NO_EDGES: "the same head without edges",
        COMPLETED_WITHOUT: "the same with completion without edges",
        COMPLETED_RANDOM: "the same with completion with random edges",
    }
    others = [c.against for c in here if not c.ours.is_control and c.ours.unknown != c.against]
    treatments = [a for a in dict.fromkeys(others) if a in ("ignore", "negative", "prior")]
    return [(a, words.get(a, f"the same with unknown: {a}")) for a in (*words, *treatments)]


def _curves(result: BenchmarkResult) -> str:
    charts = []
    sizes = [s for s in result.settings if s.hidden == result.settings[0].hidden]
    if len(sizes) > 1:
        charts.append(_curve(result, sizes, [s.fraction for s in sizes], "training pictures"))
    full = result.settings[0].fraction
    hidden = [s for s in result.settings if s.fraction == full and s.hidden != "single"]
    if len(hidden) > 1:
        shares = [float(s.hidden) for s in hidden]
        charts.append(_curve(result, hidden, shares, "hidden targets"))
    if not charts:
        return ""
    return section("curves", "Curves", f'<div class="charts">{"".join(charts)}</div>')


def _curve(
    result: BenchmarkResult, settings: Sequence[Setting], positions: Sequence[float], name: str
) -> str:
    order = sorted(range(len(settings)), key=lambda k: positions[k])
    chosen = [who for who in result.contenders if who.edges in ("own", "none")]
    return curve_chart(
        result.runs,
        chosen,
        [settings[k] for k in order],
        [positions[k] for k in order],
        f"share of {name}",
    )


def _result_tables(result: BenchmarkResult) -> list[str]:
    parts = []
    for where in result.settings:
        head, rows = result_rows(result.runs, result.comparisons, result.contenders, where)
        parts += [_subtitle(where), cell_table(head, rows, "Results by contender")]
    return parts


def _comparison_tables(result: BenchmarkResult) -> list[str]:
    parts = []
    for where in result.settings:
        head, rows = comparison_rows(result.comparisons, where)
        if rows:
            parts += [_subtitle(where), cell_table(head, rows, "Tested differences of mAP, points")]
    return parts or ["<p>Nothing was tested.</p>"]


def cell_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Returns a table of texts; columns of figures sort by them."""
    return table(head, [[_cell(value) for value in row] for row in rows], caption=caption)


def _cell(value: str) -> Cell:
    """A cell that sorts by the number it begins with, if it begins with one."""
    first = value.replace("−", "-").split(" ")[0]
    try:
        return Cell(text(value), float(first))
    except ValueError:
        return text_cell(value)


def _subtitle(where: Setting) -> str:
    return f"<h3>{text(where.title[0].upper() + where.title[1:])}</h3>" if where.title else ""


def _facts(anchor: str, title: str, facts: dict[str, str]) -> str:
    rows = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items()
    )
    return section(anchor, title, f'<dl class="facts">{rows}</dl>')
