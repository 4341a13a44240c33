"""The results as tables of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gatlabel.experiments.comparisons import CUT, LINEAR, NO_EDGES, PERMUTED, RANDOM, Comparison
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.statistics import Difference
from gatlabel.experiments.store import Run
from gatlabel.experiments.verdict import points
from gatlabel.printing import clean

SHARES = ("mAP", "CF1", "OF1", "top3_OF1", "mAP_head", "mAP_middle", "mAP_tail")
HIDDEN = (RANDOM, PERMUTED, CUT)  # have tests but no column
HEADINGS = {
    "top3_OF1": "top-3 OF1",
    "mAP_head": "head",
    "mAP_middle": "middle",
    "mAP_tail": "tail",
}


def values_of(runs: Sequence[Run], who: Contender, where: Setting, column: str) -> list[float]:
    """Returns a column over the seeds of one contender in one setting."""
    return [r.values[column] for r in runs if (r.contender, r.setting) == (who, where)]


def mean_and_deviation(values: Sequence[float]) -> str:
    """Returns ``25.8 ± 0.2``, in points; the deviation is the sample's over seeds."""
    mean = float(np.mean(values))
    if math.isnan(mean):
        return "–"
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * mean:.1f}{spread}"


def interval(comparison: Comparison | None) -> str:
    """Returns ``+0.5 [−0.1, +1.1]``, with a star where beyond chance; ``+0.5 [–]`` without."""
    if comparison is None:
        return ""
    star = " *" if comparison.better or comparison.worse else ""
    return with_ends(comparison.difference) + star


def with_ends(d: Difference) -> str:
    """Returns ``+0.5 [−0.1, +1.1]``, or ``+0.5 [–]`` where there is no interval."""
    ends = "–" if d.low is None else f"{points(d.low)}, {points(d.high)}"
    return f"{points(d.value)} [{ends}]"


def result_rows(
    runs: Sequence[Run],
    comparisons: Sequence[Comparison],
    contenders: Sequence[Contender],
    where: Setting,
) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the main table of one setting."""
    here = [c for c in comparisons if c.setting == where]
    shown = reference_columns(here, contenders[0])
    head = ["contender", *(HEADINGS.get(name, name) for name in SHARES)]
    head += [*(f"Δ {against}" for against in shown), "parameters", "train s", "µs a picture"]
    rows = []
    for who in contenders:
        row = [who.title]
        row += [mean_and_deviation(values_of(runs, who, where, name)) for name in SHARES]
        row += [interval(found.get(who)) for found in shown.values()]
        cost = {
            name: float(np.median(values_of(runs, who, where, name)))
            for name in ("parameters", "train_seconds", "inference_us")
        }
        row += [
            f"{cost['parameters']:.0f}",
            f"{cost['train_seconds']:.1f}",
            f"{cost['inference_us']:.1f}",
        ]
        rows.append(row)
    return head, rows


def reference_columns(
    here: Sequence[Comparison], linear: Contender
) -> dict[str, dict[Contender, Comparison]]:
    """Returns what differences are shown to, and those of every contender that has one.

    These are linear (under whichever name it is compared with, also as the first treatment of
    unknown labels), no edges, the first treatment of others, and the controls of completion. What
    would be empty is left out.

    Args:
        here: All comparisons of one setting.
        linear: Who that is.
    """
    found: dict[str, dict[Contender, Comparison]] = {LINEAR: {}}
    for c in here:
        against = LINEAR if c.theirs == linear else c.against
        if against not in HIDDEN:
            found.setdefault(against, {})[c.ours] = c
    order = [LINEAR, NO_EDGES, *(a for a in found if a not in (LINEAR, NO_EDGES))]
    return {against: found[against] for against in order if found.get(against)}


def comparison_rows(
    comparisons: Sequence[Comparison], where: Setting
) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the tested comparisons of one setting."""
    head = ["contender", "against", "difference", "95 % interval", "p", "p, corrected"]
    rows = [
        [
            c.ours.title,
            c.against,
            points(c.difference.value),
            f"{points(c.difference.low)} to {points(c.difference.high)}",
            f"{c.difference.p:.4f}",
            f"{c.corrected:.4f}" + (" *" if c.better or c.worse else ""),
        ]
        for c in comparisons
        if c.setting == where and c.corrected is not None
    ]
    return head, rows


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table, its columns aligned in the text too."""
    cells = [[clean(cell).replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
