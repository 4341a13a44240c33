"""The report files of a result: an HTML page, a Markdown document, and comparison tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gatlabel.errors import InputError
from gatlabel.experiments.charts import curve_chart, difference_chart
from gatlabel.experiments.comparison_tables import (
    COLUMNS,
    comparison_rows,
    comparison_table,
    source_table,
)
from gatlabel.experiments.dataset_result import DataSetResult
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.records import write_rows
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.similarity_tables import similarity_table
from gatlabel.experiments.store import Store
from gatlabel.experiments.tables import Table, is_shown, markdown, references, result_tables
from gatlabel.files import write_json, write_text
from gatlabel.printing import clean
from gatlabel.report.document import document
from gatlabel.report.markup import Cell, section, table, text, text_cell

FILES = ("report.html", "table.md", "comparisons.json", "comparisons.csv")

# Additions to the style sheet of runs' reports.
STYLE = """
.verdict { font-size: 1.2rem; line-height: 1.4; max-width: 70ch; }
.zero { stroke: var(--ink); stroke-width: 1.2; fill: none; }
.name { fill: var(--ink); }
.group { fill: var(--ink); font-weight: 600; }
td:first-child { white-space: nowrap; }
#similarity td:last-child { min-width: 18rem; }
.interval { stroke: var(--k); stroke-width: 2; fill: none; }
.estimate { fill: var(--k); stroke: var(--k); stroke-width: 2; }
.estimate.hollow { fill: var(--panel); }
.better { --k: var(--green); } .worse { --k: var(--red); } .even { --k: var(--soft); }
"""


def write_report(result: BenchmarkResult, folder: str | os.PathLike[str]) -> None:
    """Writes the report files of a result, overwriting older ones.

    The files are ``report.html``, ``table.md``, ``comparisons.json`` and ``comparisons.csv``.

    Args:
        result: A result for one or more data sets.
        folder: The folder.

    Raises:
        InputError: If the folder cannot be written to, or contains another benchmark.
    """
    page, words, values, rows = (Path(folder) / name for name in FILES)
    own = any(Path(folder).resolve() == r.folder.resolve() for r in result.data_sets.values())
    if Store(Path(folder)).options.is_file() and not (own and len(result.data_sets) == 1):
        raise InputError(f"{folder} contains the runs of a benchmark: give another output")
    compared = [
        {"data_set": name, **c.to_dict()}
        for name, one in result.data_sets.items()
        for c in one.comparisons
    ]
    write_json(values, {"verdict": result.verdict, "comparisons": compared})
    write_rows(rows, COLUMNS, comparison_rows(result.data_sets))
    write_text(words, markdown_document(result))
    write_text(page, render(result))


def markdown_document(result: BenchmarkResult) -> str:
    """Returns ``table.md``: verdict, tables, comparisons, protocol, environment or sources."""
    compared = comparison_table(result.data_sets)
    parts = [
        *(f"# {clean(result.title)}", *map(clean, result.verdict), result.explanation),
        *(result.table(), "## Comparisons"),
        markdown(compared) if compared.rows else "Nothing was tested.",
    ]
    similarity = similarity_table(result.data_sets)
    if similarity.rows:
        parts += ["## Similarity", markdown(similarity)]
    for title, facts in _facts(result).items():
        lines = "\n".join(clean(f"- {name}: {value}") for name, value in facts.items())
        parts += [f"## {title}", lines]
    if len(result.data_sets) > 1:
        parts += ["## Sources", markdown(source_table(result.data_sets))]
    return "\n\n".join(parts) + "\n"


def _facts(result: BenchmarkResult) -> dict[str, Mapping[str, str]]:
    """Returns protocol and environment of a single data set."""
    if len(result.data_sets) > 1:
        return {}
    one = next(iter(result.data_sets.values()))
    versions = ", ".join(f"{name} {v}" for name, v in one.environment["versions"].items())
    own = {name: str(value) for name, value in one.environment.items() if name != "versions"}
    return {"Protocol": one.protocol, "Environment": {"versions": versions, **own}}


def render(result: BenchmarkResult) -> str:
    """Returns the report as self-contained HTML."""
    data_sets = result.data_sets
    tables = [t for c in result.conditions for t in result_tables(data_sets, c)]
    compared = comparison_table(data_sets)
    about = f"<p>{text(result.explanation)}</p>"
    sections = {
        "Differences": section("differences", "Differences", *_differences(result)),
        "Curves": _curves(result),
        "Results": section("results", "Results", about, *map(_html_table, tables)),
        "Comparisons": section(
            "comparisons",
            "Comparisons",
            _html_table(compared) if compared.rows else "<p>Nothing was tested.</p>",
        ),
    }
    similarity = similarity_table(data_sets)
    if similarity.rows:
        sections["Similarity"] = section("similarity", "Similarity", _html_table(similarity))
    for title, facts in _facts(result).items():
        rows = "".join(
            f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
            for name, value in facts.items()
        )
        sections[title] = section(title.lower(), title, f'<dl class="facts">{rows}</dl>')
    if len(data_sets) > 1:
        sections["Sources"] = section("sources", "Sources", _html_table(source_table(data_sets)))
    verdict = "".join(f'<p class="verdict">{text(line)}</p>' for line in result.verdict)
    about = f"gatlabel benchmark, {len(result.runs)} runs"
    return document(result.title, about, verdict, sections, STYLE)


def _differences(result: BenchmarkResult) -> list[str]:
    parts = []
    several = len(result.data_sets) > 1
    for condition in result.conditions:
        here = [
            (name, c)
            for name, one in result.data_sets.items()
            for c in one.comparisons
            if c.condition == condition and (is_shown(c) or not several)
        ]
        for against, words in references(c for _, c in here).items():
            found = [(name, c) for name, c in here if c.against == against]
            chart = difference_chart(found, words, grouped=several)
            title = ", ".join(part for part in (f"Compared with {words}", condition.title) if part)
            parts += [f"<h3>{text(title)}</h3>", chart] if chart else []
    return parts


def _curves(result: BenchmarkResult) -> str:
    several = len(result.data_sets) > 1
    charts = []
    for name, one in result.data_sets.items():
        conditions = sorted(one.scope.conditions, key=lambda c: -c.fraction)
        sizes = [c for c in conditions if c.masked == conditions[0].masked]
        full = [c for c in conditions if c.fraction == conditions[0].fraction]
        masked = {c: float(c.masked) for c in full if c.masked != "single"}
        for shares, words in (
            ({c: c.fraction for c in sizes}, "share of training images"),
            (masked, "share of masked targets"),
        ):
            if len(shares) > 1:
                charts.append(_curve(one, shares, f"{words}, {name}" if several else words))
    found = f'<div class="charts">{"".join(charts)}</div>'
    return section("curves", "Curves", found) if charts else ""


def _curve(one: DataSetResult, shares: Mapping[Condition, float], name: str) -> str:
    order = sorted(shares, key=lambda c: shares[c])
    lines = {
        method: [100 * float(np.mean(one.values(method, c, "mAP"))) for c in order]
        for method in one.scope.methods
        if method.edges in ("own", "none")
    }
    return curve_chart(lines, [shares[c] for c in order], name)


def _html_table(found: Table) -> str:
    """Returns an HTML table of texts; numeric columns can be sorted."""
    title = found.title or "Results by method"
    rows: Sequence[Sequence[Cell]] = [[_cell(value) for value in row] for row in found.rows]
    return table(found.head, rows, caption=title)


def _cell(value: str) -> Cell:
    """Returns a cell that is sorted by its leading number, if any."""
    first = value.replace("−", "-").split(" ")[0]
    try:
        return Cell(text(value), float(first))
    except ValueError:
        return text_cell(value)
