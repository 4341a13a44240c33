"""Results as tables of text, for one data set or several, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gatlabel.experiments.comparisons import (
    ABLATED,
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    LINEAR,
    NO_EDGES,
    PERMUTED,
    RANDOM,
    Comparison,
)
from gatlabel.experiments.dataset_result import DataSetResult
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.wording import NOTHING, interval, mean_and_deviation
from gatlabel.printing import clean

DataSets = Mapping[str, DataSetResult]  # by name
Row = Sequence[str]


class Table(NamedTuple):
    """A table of text: title, column names, rows."""

    title: str
    head: Row
    rows: Sequence[Row]


METRICS = {
    **{"mAP": "mAP", "CF1": "CF1", "OF1": "OF1", "top3_OF1": "top-3 OF1"},
    **{"mAP_head": "head", "mAP_middle": "middle", "mAP_tail": "tail"},
}
COSTS = {
    "parameters": ("parameters", ".0f"),
    "train_seconds": ("train s", ".1f"),
    "inference_us": ("µs per image", ".1f"),
}
#: Baselines of differences, as text.
REFERENCES = {
    LINEAR: "the linear head",
    NO_EDGES: "the same head without edges",
    RANDOM: "the same head with random edges",
    COMPLETED_WITHOUT: "the same with completion without edges",
    COMPLETED_RANDOM: "the same with completion with random edges",
}


def methods_of(data_sets: DataSets) -> list[Method]:
    """Returns the methods that occur; with several data sets, sorted by head and graph."""
    found = list(dict.fromkeys(m for result in data_sets.values() for m in result.scope.methods))
    if len(data_sets) == 1:
        return found
    heads, graphs = ([getattr(m, part) for m in found] for part in ("head", "graph"))
    return sorted(found, key=lambda m: (heads.index(m.head), graphs.index(m.graph)))


def conditions_of(data_sets: DataSets) -> list[Condition]:
    """Returns the conditions that occur, all images first."""
    found = dict.fromkeys(c for result in data_sets.values() for c in result.scope.conditions)
    return sorted(found, key=lambda condition: -condition.fraction)


def references(comparisons: Iterable[Comparison]) -> dict[str, str]:
    """Returns the baselines of differences, with their descriptions.

    These are linear, no edges, random edges, the first treatment of unknown labels and the controls
    of completion, if a method that is not a control is compared with them.
    """
    found = dict.fromkeys(c.against for c in comparisons if is_shown(c))
    known = {against: words for against, words in REFERENCES.items() if against in found}
    treatments = [a for a in found if a not in (*REFERENCES, PERMUTED, ABLATED)]
    return known | {a: f"the same with unknown: {a}" for a in treatments}


def is_shown(c: Comparison) -> bool:
    """Whether a comparison is tested, or would be if it had an interval."""
    return c.corrected is not None or (c.difference.low is None and not c.ours.is_control)


def result_tables(
    data_sets: DataSets, condition: Condition, *, controls: bool = True
) -> list[Table]:
    """Returns the tables of one condition.

    With one data set: a table with all metrics, differences and costs. With several: mAP, and each
    kind of difference, with one column per data set.

    Args:
        data_sets: Results by name.
        condition: The condition.
        controls: With several data sets: whether to include rows of controls; heads without edges
            are always included.
    """
    shown = {name: r for name, r in data_sets.items() if condition in r.scope.conditions}
    if len(data_sets) == 1:
        return [_whole_table(result, condition) for result in shown.values()]
    methods = [
        m
        for m in methods_of(data_sets)
        if any(m in result.scope.methods for result in shown.values())
        and (controls or not m.is_control or (m.edges == "none" and not m.completion))
    ]
    title = f", {condition.title}" if condition.title else ""
    head = ["method", *shown]
    scores = [
        [m.title, *(mean_and_deviation(r.values(m, condition, "mAP")) for r in shown.values())]
        for m in methods
    ]
    tables = [Table(f"mAP{title}", head, scores)]
    here = {n: [c for c in r.comparisons if c.condition == condition] for n, r in shown.items()}
    for against in references(c for cs in here.values() for c in cs):
        texts = {
            (n, c.ours): NOTHING if c.difference.low is None else interval(c)
            for n, cs in here.items()
            for c in cs
            if c.against == against
        }
        rows = [
            [m.title, *(texts.get((name, m), NOTHING) for name in shown)]
            for m in methods
            if any((name, m) in texts for name in shown)
        ]
        tables.append(Table(f"Δ {against}{title}", head, rows))
    return tables


def _whole_table(result: DataSetResult, condition: Condition) -> Table:
    methods = result.scope.methods
    here = [c for c in result.comparisons if c.condition == condition]
    shown = reference_columns(here, methods[0])
    head = ["method", *METRICS.values(), *(f"Δ {against}" for against in shown)]
    head += [name for name, _ in COSTS.values()]
    rows = [
        [
            m.title,
            *(mean_and_deviation(result.values(m, condition, name)) for name in METRICS),
            *(interval(found[m]) if m in found else "" for found in shown.values()),
            *(
                format(float(np.median(result.values(m, condition, name))), form)
                for name, (_, form) in COSTS.items()
            ),
        ]
        for m in methods
    ]
    return Table(condition.title[:1].upper() + condition.title[1:], head, rows)


def reference_columns(
    here: Sequence[Comparison], linear: Method
) -> dict[str, dict[Method, Comparison]]:
    """Returns the baselines of difference columns, and the differences of every method.

    The baselines are linear (under its name in the comparison, also as the first treatment of
    unknown labels), no edges, the first treatment of others, and the controls of completion. Empty
    columns are omitted.

    Args:
        here: All comparisons of one condition.
        linear: The linear method.
    """
    found: dict[str, dict[Method, Comparison]] = {LINEAR: {}, NO_EDGES: {}}
    for c in here:
        against = LINEAR if c.theirs == linear else c.against
        if against not in (RANDOM, PERMUTED, ABLATED):  # these are in the table of comparisons
            found.setdefault(against, {})[c.ours] = c
    return {against: by_method for against, by_method in found.items() if by_method}


def markdown(table: Table) -> str:
    """Returns a Markdown table whose columns are aligned as plain text, too."""
    cells = [[clean(cell).replace("|", "\\|") for cell in r] for r in [table.head, *table.rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(table.head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
