"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatlabel.cli.output import add_row, make_table
from gatlabel.metrics.names import shown_name

if TYPE_CHECKING:
    from rich.table import Table

    from gatlabel.decisions.classes import ClassDecision
    from gatlabel.decisions.decision import Decision
    from gatlabel.multitask.comparing import Comparison
    from gatlabel.multitask.evaluation import Results, TaskResult
    from gatlabel.training.evaluation import Evaluation
    from gatlabel.training.run import RunResult

SHOWN = (
    *("mAP", "mAUROC", "CF1", "OF1", "top3_CF1", "top3_OF1", "mean_frequency"),
    *("decision_macro_F1", "decision_OF1", "decision_miss_rate"),
)


def metrics_table(evaluations: Sequence[Evaluation], title: str) -> Table:
    """Returns a table of the main metrics, one column per split."""
    table = make_table(["metric", *(evaluation.split for evaluation in evaluations)], title)
    for name in SHOWN:
        values = [evaluation.report.metrics.get(name, math.nan) for evaluation in evaluations]
        add_row(table, shown_name(name), *(_number(value) for value in values))
    return table


def task_table(results: Results, comparisons: Sequence[Comparison] = ()) -> Table:
    """Returns a table of the main metric of each task, one column per split.

    Args:
        results: Results of the model, by split and task.
        comparisons: Other models; each has a column with the last split of each task.
    """
    from gatlabel.multitask.evaluation import final_results

    head = ["task", "metric", *results, *(each.name for each in comparisons)]
    caption = "other models: on the last split of each task" if comparisons else None
    table = make_table(head, "main metric of each task", caption, left=2)
    for task, (last, result) in final_results(results).items():
        columns = [*results.values(), *(each.results.get(last, {}) for each in comparisons)]
        values = [own[task].value if task in own else math.nan for own in columns]
        add_row(table, task, shown_name(result.main), *map(_number, values))
    return table


def task_metrics_table(task: str, split: str, result: TaskResult) -> Table:
    """Returns a table of all metrics of a task on a split."""
    title = f"{task} ({result.kind}), {result.images} images of {split}"
    table = make_table(["metric", "value"], title)
    for name, value in result.metrics.items():
        add_row(table, shown_name(name), _number(value))
    return table


def label_table(evaluation: Evaluation, most: int) -> Table:
    """Returns a table of the labels of a split: AP, AUROC and the decision.

    Args:
        evaluation: The evaluation of the split.
        most: Maximum number of rows; of more labels, those with the lowest AP are shown.
    """
    rows = evaluation.report.rows()
    shown = rows
    if len(rows) > most:
        order = sorted(rows, key=lambda row: 2.0 if row["ap"] is None else row["ap"])
        shown = order[:most]
    caption = f"{len(shown)} of {len(rows)} labels, lowest AP first" if len(rows) > most else None
    table = make_table(
        ("label", "pos.", "AP", "AUROC", "p ≥", "prec.", "recall", "F1"),
        f"labels on {evaluation.split}; precision, recall and F1 at p ≥ threshold",
        caption,
    )
    decision = evaluation.decision
    for row in shown:
        limit = math.nan if decision is None else decision.thresholds[row["label"]]
        metrics = (row["ap"], row["auroc"], limit, row["precision"], row["recall"], row["f1"])
        cells = ("–" if v is None or math.isnan(v) else f"{v:.3f}" for v in metrics)
        add_row(table, row["label"], str(row["positives"]), *cells)
    return table


def decision_table(decision: Decision | ClassDecision, title: str) -> Table:
    """Returns a table that describes a decision and the images it was chosen on."""
    from gatlabel.decisions.wording import describe  # imports numpy, which help does not need

    table = make_table(("decision", ""), title, left=2)
    for name, phrase in describe(decision).items():
        add_row(table, name, phrase)
    return table


def result_table(result: RunResult) -> Table:
    """Returns the table of a training run, with the baselines."""
    head = result.model.head.kind
    from gatlabel.engine.epoch_lines import in_words

    title = f"{head} head, trained in {in_words(result.seconds)}"
    table = metrics_table(result.evaluations, title)
    empty = [""] * (len(result.evaluations) - 1)
    if result.baselines:
        table.add_section()
    for baseline in result.baselines:
        add_row(table, f"mAP of {baseline.name}", *empty, _number(baseline.value))
    return table


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
