"""Tables of comparisons and sources: text for reports, numbers for spreadsheets."""

from __future__ import annotations

import math
from typing import Any

from gatlabel.experiments.comparisons import Comparison
from gatlabel.experiments.tables import DataSets, Table, conditions_of
from gatlabel.experiments.wording import NOTHING, points

COLUMNS = (
    *("data_set", "folder", "fraction", "masked", "ours", "theirs", "against"),
    *("points", "low", "high", "p", "corrected"),
)


def comparison_table(data_sets: DataSets) -> Table:
    """Returns the tested comparisons; data set and condition are columns if there are several."""
    conditions = conditions_of(data_sets)
    columns = [len(data_sets) > 1, len(conditions) > 1 or len(data_sets) > 1]
    head = [name for name, shown in zip(("data set", "condition"), columns, strict=True) if shown]
    rows = []
    for name, result in data_sets.items():
        for condition in conditions:
            place = [name, condition.title or "all"]
            place = [text for text, shown in zip(place, columns, strict=True) if shown]
            rows += [
                [*place, *_comparison_row(c)]
                for c in result.comparisons
                if c.condition == condition and c.corrected is not None
            ]
    head += ["method", "against", "difference", "95 % interval", "p", "p, corrected"]
    return Table("Tested differences in mAP, points", head, rows)


def _comparison_row(c: Comparison) -> list[str]:
    d = c.difference
    return [
        *(c.ours.title, c.against, points(d.value), f"{points(d.low)} to {points(d.high)}"),
        f"{d.p:.4f}",
        f"{c.corrected:.4f}" + (" *" if c.better or c.worse else ""),
    ]


def source_table(data_sets: DataSets) -> Table:
    """Returns a table of the contents of each folder."""
    facts = ("data", "mode", "encoder")
    rows = [
        [name, str(r.folder), str(r.scope.seeds), *(r.protocol.get(f, NOTHING) for f in facts)]
        for name, r in data_sets.items()
    ]
    return Table("Contents of each folder", ["data set", "folder", "seeds", *facts], rows)


def comparison_rows(data_sets: DataSets) -> list[dict[str, Any]]:
    """Returns one row of :data:`COLUMNS` per comparison; differences in points, or empty."""
    rows = []
    for name, result in data_sets.items():
        for c in result.comparisons:
            d, where = c.difference, (c.condition.fraction, c.condition.masked)
            ends = [
                None if v is None or math.isnan(v) else 100 * v for v in (d.value, d.low, d.high)
            ]
            numbers = ["" if v is None else f"{v:.6g}" for v in (*ends, d.p, c.corrected)]
            place = (name, result.folder, *where, c.ours.title, c.theirs.title, c.against)
            rows.append(dict(zip(COLUMNS, (*place, *numbers), strict=True)))
    return rows
