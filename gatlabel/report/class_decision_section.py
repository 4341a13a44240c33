"""The report's section on the calibration of a multi-class task."""

from __future__ import annotations

from torch import Tensor

from gatlabel.decisions.bins import Reliability, reliability
from gatlabel.decisions.classes import ClassDecision
from gatlabel.decisions.wording import describe
from gatlabel.labels import UNKNOWN
from gatlabel.report.curves import reliability_chart
from gatlabel.report.markup import anchor_of, figure, number, section, text

PER_BIN, MOST_BINS = 20, 15


def class_decision_section(
    decision: ClassDecision, logits: Tensor, classes: Tensor, task: str, split: str
) -> str:
    """Returns the section: the temperature, and the reliability before and after calibration.

    Args:
        decision: The calibration.
        logits: ``(N, C)`` of the images of a split.
        classes: Their classes ``(N,)``, -1 for unknown.
        task: Name of the task.
        split: Name of the split.
    """
    facts = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
        for name, value in describe(decision).items()
    )
    known = classes != UNKNOWN
    after = _top(decision.probabilities(logits[known].double()), classes[known])
    before = _top(logits[known].double().softmax(-1), classes[known])
    series = [("calibrated", after), ("before calibration", before)]
    keys = "".join(
        f'<li><i class="swatch c{k}"></i>{text(what)}</li>' for k, (what, _) in enumerate(series)
    )
    chart = figure(
        f'{reliability_chart(series, task)}<ul class="key">{keys}</ul>',
        "Probability of the predicted class against the share of images where it is correct, in "
        "bins of equal size; bars are two standard errors. Expected calibration error "
        f"{number(after.error)}, before calibration {number(before.error)}.",
    )
    note = f"The chart is of the {split} split, {int(known.sum())} images."
    if decision.split == split:
        note += " The temperature was chosen on them: expect a larger error on other images."
    return section(
        anchor_of("decisions", task),
        f"Decisions: {task}",
        f'<dl class="facts wide">{facts}</dl><p>{text(note)}</p>',
        f'<div class="charts">{chart}</div>',
    )


def _top(probabilities: Tensor, classes: Tensor) -> Reliability:
    """Returns the reliability of the probability of the predicted class."""
    most, predicted = probabilities.max(1)
    bins = min(MOST_BINS, max(1, len(classes) // PER_BIN))
    return reliability(most[:, None].clamp(0, 1), (predicted == classes)[:, None].int(), bins=bins)
