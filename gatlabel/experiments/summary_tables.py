"""The tables of a summary: contenders by data set, comparisons, and what the folders hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from gatlabel.experiments.comparisons import (
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    CUT,
    LINEAR,
    NO_EDGES,
    PERMUTED,
    RANDOM,
    Comparison,
)
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.tables import comparison_rows, interval, mean_and_deviation, values_of

Results = Mapping[str, BenchmarkResult]  # by data set
Table = tuple[list[str], list[list[str]]]  # head and rows

COLUMNS = (
    *("data_set", "folder", "fraction", "hidden", "ours", "theirs", "against"),
    *("points", "low", "high", "p", "corrected"),
)
NOTHING = "–"
WORDS = {
    LINEAR: "the linear head",
    NO_EDGES: "the same head without edges",
    RANDOM: "the same head with random edges",
    COMPLETED_WITHOUT: "the same with completion without edges",
    COMPLETED_RANDOM: "the same with completion with random edges",
}


def has_interval(c: Comparison) -> bool:
    """Whether the bootstrap could say something: there may be too few positives for it."""
    return bool(difference_and_p(c))


def difference_and_p(c: Comparison) -> tuple[float, ...]:
    """Returns difference, lower and upper end and p-value; nothing where there is no interval."""
    d = c.difference
    found = tuple(v for v in (d.value, d.low, d.high, d.p) if v is not None and math.isfinite(v))
    return found if len(found) == 4 else ()


def shown_at_all(c: Comparison) -> bool:
    """Whether it is tested, or would be if it had an interval."""
    return c.corrected is not None or not (has_interval(c) or c.ours.is_control)


def settings_of(results: Results) -> list[Setting]:
    """Returns the settings that occur, all pictures first."""
    found = dict.fromkeys(where for result in results.values() for where in result.settings)
    return sorted(found, key=lambda where: -where.fraction)


def contenders_of(results: Results) -> list[Contender]:
    """Returns the contenders that occur, each with its own kind: heads stay together."""
    found = list(dict.fromkeys(who for result in results.values() for who in result.contenders))
    heads = list(dict.fromkeys(who.head for who in found))
    graphs = list(dict.fromkeys(who.graph for who in found))
    order = {who: k for k, who in enumerate(found)}
    return sorted(
        found, key=lambda who: (heads.index(who.head), graphs.index(who.graph), order[who])
    )


def there(results: Results, where: Setting) -> dict[str, BenchmarkResult]:
    """Returns the results that have a setting."""
    return {name: result for name, result in results.items() if where in result.settings}


def references(comparisons: Iterable[Comparison]) -> dict[str, str]:
    """Returns what differences are shown to, and that in words.

    These are linear, no edges, random edges, the first treatment of unknown labels and the
    controls of completion, where anything is tested against them.
    """
    tested = dict.fromkeys(c.against for c in comparisons if shown_at_all(c))
    found = {against: words for against, words in WORDS.items() if against in tested}
    treatments = [a for a in tested if a not in (*WORDS, PERMUTED, CUT)]
    return found | {a: f"the same with unknown: {a}" for a in treatments}


def tables(
    results: Results, where: Setting, controls: bool = True
) -> list[tuple[str, list[str], list[list[str]]]]:
    """Returns title, head and rows of the tables of one setting: mAP, then the differences.

    Args:
        results: By data set.
        where: The setting.
        controls: Whether rows of controls are wanted; heads without edges always are.
    """
    shown = there(results, where)
    head = ["contender", *shown]
    everyone = [
        who
        for who in contenders_of(shown)
        if controls or not who.is_control or (who.edges == "none" and not who.completion)
    ]
    scores = [
        [who.title, *(_score(result, who, where) for result in shown.values())] for who in everyone
    ]
    title = f", {where.title}" if where.title else ""
    found = [(f"mAP{title}", head, scores)]
    every = [c for result in shown.values() for c in result.comparisons if c.setting == where]
    for against in references(every):
        by_pair = {
            (name, c.ours): c
            for name, result in shown.items()
            for c in result.comparisons
            if c.setting == where and c.against == against
        }
        rows = [
            [who.title, *(_difference(by_pair.get((name, who))) for name in shown)]
            for who in everyone
            if any((name, who) in by_pair for name in shown)
        ]
        found.append((f"Δ {against}{title}", head, rows))
    return found


def _score(result: BenchmarkResult, who: Contender, where: Setting) -> str:
    values = values_of(result.runs, who, where, "mAP")
    return mean_and_deviation(values) if values else NOTHING


def _difference(c: Comparison | None) -> str:
    return interval(c) if c is not None and has_interval(c) else NOTHING


def comparison_table(results: Results) -> Table:
    """Returns the tested comparisons of all data sets, in all settings."""
    head: list[str] = []
    rows = []
    for name, result in results.items():
        sure = [c for c in result.comparisons if has_interval(c)]
        for where in settings_of({name: result}):
            head, found = comparison_rows(sure, where)
            rows += [[name, where.title or "all", *row] for row in found]
    return ["data set", "setting", *head], rows


def source_table(results: Results) -> Table:
    """Returns what each folder holds."""
    head = ["data set", "folder", "seeds", "data", "mode", "encoder"]
    rows = [
        [
            name,
            str(result.folder),
            str(len(result.seeds)),
            *(result.protocol.get(fact, NOTHING) for fact in ("data", "mode", "encoder")),
        ]
        for name, result in results.items()
    ]
    return head, rows


def csv_rows(results: Results) -> list[dict[str, Any]]:
    """Returns a row for every comparison; differences in points, empty where there is none."""
    return [
        dict(zip(COLUMNS, (
            name, result.folder, c.setting.fraction, c.setting.hidden, c.ours.title,
            c.theirs.title, c.against, *_numbers(c),
        ), strict=True))
        for name, result in results.items() for c in result.comparisons
    ]  # fmt: skip


def _numbers(c: Comparison) -> list[str]:
    if not has_interval(c):
        return [""] * 5
    *difference, p = difference_and_p(c)
    corrected = "" if c.corrected is None else f"{c.corrected:.6g}"
    return [*(f"{100 * v:.6g}" for v in difference), f"{p:.6g}", corrected]
