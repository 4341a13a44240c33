"""The report's section on decisions: thresholds, calibration, curves, and the data used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatlabel.decisions.bins import Reliability, reliability
from gatlabel.decisions.wording import describe
from gatlabel.report.content import ReportContent, as_array
from gatlabel.report.curves import SMALL, pr_chart, reliability_chart
from gatlabel.report.markup import (
    Cell,
    anchor_of,
    figure,
    number,
    number_cell,
    percent,
    section,
    table,
    text,
    text_cell,
)
from gatlabel.report.selection import probabilities

MOST_LABELS = 24  # maximum number of labels with curves
FEWEST_POSITIVES = 10  # minimum for curves of a label: with fewer they show only chance
SMALLEST = 0.02  # reliability diagrams omit entries with lower probabilities, which are nearly all


@dataclass(frozen=True)
class _Shown:
    """The data of the plots, ``(N, L)`` each: probabilities, known targets, decisions."""

    p: NDArray[np.float64]
    plain: NDArray[np.float64]
    target: NDArray[np.int8]
    chosen: NDArray[np.bool_]


def decision_section(content: ReportContent, task: str = "") -> str:
    """Returns the section; empty for a report without a decision or without images.

    Args:
        content: What it shows.
        task: Name of the task, in a report of several.
    """
    decision = content.decision
    if decision is None or not content.ids:
        return ""
    given = as_array(content.targets)
    target = np.where(given < 0, -1, given >= 0.5).astype(np.int8)
    logits = as_array(content.logits)
    p = decision.probabilities(logits)
    shown = _Shown(p, probabilities(logits), target, p >= decision.limits)
    facts = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
        for name, value in describe(decision).items()
    )
    return section(
        anchor_of("decisions", task),
        f"Decisions: {task}" if task else "Decisions",
        f'<dl class="facts wide">{facts}</dl>',
        f"<p>{text(_data_note(content))}</p>",
        _charts(shown, calibrated=bool(decision.scaling)),
        _table(content, shown),
        _label_curves(content, shown),
    )


def _data_note(content: ReportContent) -> str:
    assert content.decision is not None
    line = f"Curves and metrics are of the {content.split} split, {len(content.ids)} images. "
    if content.decision.split == content.split:
        return line + "The thresholds were chosen on them: expect lower values on other images."
    return line


def _charts(shown: _Shown, *, calibrated: bool) -> str:
    known = shown.target >= 0
    present = shown.target[known] == 1
    if not present.any() or present.all():
        return ""
    after = _reliability(shown.p, shown.target)
    series = [("probabilities", after)]
    if calibrated:
        series = [
            ("calibrated", after),
            ("before calibration", _reliability(shown.plain, shown.target)),
        ]
    every = reliability(shown.p, shown.target)
    shares = int((shown.p[known] >= SMALLEST).sum()) / len(present)
    keys = "".join(
        f'<li><i class="swatch c{k}"></i>{text(what)}</li>' for k, (what, _) in enumerate(series)
    )
    key = f'<ul class="key">{keys}</ul>' if len(series) > 1 else ""
    charts = (
        figure(
            reliability_chart(series, "all labels") + key,
            f"Reliability of all entries with a probability of at least {percent(SMALLEST)} "
            f"({percent(shares)} of them), in bins of equal size. On the dashed line, predicted "
            "and observed frequencies agree; bars are two standard errors. Expected calibration "
            f"error {number(every.error)}, Brier skill {number(every.brier_skill)}, both of all "
            "entries.",
        ),
        figure(
            pr_chart(shown.p[known], present, shown.chosen[known], "all labels pooled"),
            "Precision and recall of all entries pooled; along the curve, all labels have the same "
            "threshold. The point is the decision, which may not be on the curve if labels have "
            "separate thresholds. Dashed: precision of guessing.",
        ),
    )
    return f'<div class="charts">{"".join(charts)}</div>'


def _reliability(p: NDArray[np.float64], target: NDArray[np.int8], most: int = 30) -> Reliability:
    """Returns bins of equal size: many, so that some have high probabilities."""
    probable = np.where(p >= SMALLEST, target, -1)
    if not (probable >= 0).any():
        probable = target
    return reliability(p, probable, bins=min(most, max(1, int((probable >= 0).sum()) // 20)))


def _table(content: ReportContent, shown: _Shown) -> str:
    assert content.decision is not None
    rows = []
    for k, (name, limit) in enumerate(content.decision.thresholds.items()):
        known = shown.target[:, k] >= 0
        present, chosen = shown.target[known, k] == 1, shown.chosen[known, k]
        hits, positives, named = int((present & chosen).sum()), int(present.sum()), chosen.sum()
        found = reliability(shown.p, shown.target, label=k) if known.any() else None
        rows.append(
            [
                text_cell(name),
                number_cell(limit),
                Cell(str(positives), float(positives)),
                Cell(str(int(named)), float(named)),
                number_cell(hits / named if named else np.nan),
                number_cell(hits / positives if positives else np.nan),
                number_cell(2 * hits / (positives + named) if positives else np.nan),
                number_cell(found.error if found else np.nan),
                number_cell(found.brier_skill if found else np.nan),
            ]
        )
    head = ["label", "threshold", "positives", "predicted", "precision", "recall", "F1"]
    return table(
        [*head, "ECE", "Brier skill"],
        rows,
        caption=f"Thresholds of all labels, and their decisions on the {content.split} split; ECE: "
        "expected calibration error, in 10 bins of equal size",
    )


def _label_curves(content: ReportContent, shown: _Shown) -> str:
    positives = (shown.target == 1).sum(0)
    both = (positives >= FEWEST_POSITIVES) & (shown.target == 0).any(0)
    order = [k for k in np.argsort(-positives, kind="stable").tolist() if both[k]]
    cards = []
    for k in order[:MOST_LABELS]:
        known = shown.target[:, k] >= 0
        p, target = shown.p[:, [k]], shown.target[:, [k]]
        name = content.labels[k]
        curve = pr_chart(
            p[known, 0], target[known, 0] == 1, shown.chosen[known, k], name, SMALL
        )  # fmt: skip
        bins = reliability_chart([(name, _reliability(p, target, 8))], name, SMALL)
        cards.append(
            f'<figure class="pair"><figcaption><b>{text(name)}</b> {int(positives[k])} positives'
            f"</figcaption>{curve}{bins}</figure>"
        )
    if not cards:
        return ""
    which = f"the {len(cards)} with most positives" if len(order) > MOST_LABELS else "all"
    left_out = (
        f" ({which} of {len(order)} labels with at least {FEWEST_POSITIVES} positives and an "
        "absence)"
    )
    return (
        f"<h3>Curves of each label</h3><p>Left: precision (vertical) against recall, with the "
        f"decision as a point. Right: observed (vertical) against predicted frequency"
        f'{left_out}.</p><div class="pairs">{"".join(cards)}</div>'
    )
