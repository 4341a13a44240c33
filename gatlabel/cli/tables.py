"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatlabel.cli.output import add_row, make_table

if TYPE_CHECKING:
    from rich.table import Table

    from gatlabel.training.evaluation import Evaluation
    from gatlabel.training.run import RunResult

SHOWN = ("mAP", "CF1", "OF1", "top3_CF1", "top3_OF1", "mean_frequency")


def metrics_table(evaluations: Sequence[Evaluation], title: str) -> Table:
    """Returns a table of the main metrics, a column a split."""
    table = make_table(["metric", *(evaluation.split for evaluation in evaluations)], title)
    for name in SHOWN:
        values = [evaluation.report.metrics[name] for evaluation in evaluations]
        add_row(table, name, *(_number(value) for value in values))
    return table


def result_table(result: RunResult) -> Table:
    """Returns the table of a training run, with the figures to compare with."""
    head = result.model.head.kind
    title = f"{head} head, trained in {result.seconds / 60:.1f} minutes"
    table = metrics_table(result.evaluations, title)
    empty = [""] * (len(result.evaluations) - 1)
    if result.baselines:
        table.add_section()
    for baseline in result.baselines:
        add_row(table, f"mAP of {baseline.name}", *empty, _number(baseline.value))
    return table


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
