"""The report of a run: its sections in order, written as one file."""

from __future__ import annotations

import math
import os

from gatlabel.files import write_text
from gatlabel.metrics.names import shown_name
from gatlabel.report.content import ReportContent
from gatlabel.report.decision_section import decision_section
from gatlabel.report.document import document
from gatlabel.report.graph_section import graph_section
from gatlabel.report.images import gallery_section, mistakes_section
from gatlabel.report.markup import (
    Cell,
    bar_cell,
    number,
    number_cell,
    percent,
    section,
    table,
    text,
    text_cell,
)
from gatlabel.report.plots import ap_against_frequency, baseline_bars, learning_curves
from gatlabel.report.similarity_section import similarity_section

HEADLINE = "mAP"
_CAPTION = "All labels; precision, recall and F1 at the decision. A dash: no positive, no AP"


def write_report(content: ReportContent, path: str | os.PathLike[str]) -> None:
    """Writes the report as one self-contained HTML file, atomically replacing an older one.

    Args:
        content: The contents.
        path: The target; usually ``report.html`` in the run folder.

    Raises:
        InputError: If an image to show cannot be decoded (from ``content.thumbnail``).
    """
    write_text(path, render(content))


def render(content: ReportContent) -> str:
    """Returns the report as HTML."""
    sections = {
        "Protocol": _protocol(content),
        "Metrics": _metrics(content),
        "Learning": section("learning", "Learning curves", learning_curves(content.curves)),
        "Labels": _per_label(content),
        "Decisions": decision_section(content),
        "Graph": graph_section(content),
        "Similarity": similarity_section(content),
        "Images": gallery_section(content),
        "Mistakes": mistakes_section(content),
    }
    return document(content.title, content.data_name, _headline(content), sections)


def _headline(content: ReportContent) -> str:
    value = content.metrics.get(content.split, {}).get(HEADLINE)
    if value is None:
        return ""
    rule = content.protocol.get("AP", "").partition(",")[0]
    left = (
        f'<div class="figure"><b>{number(value)}</b><span>{HEADLINE}, {text(content.split)}'
        f"{', ' + text(rule) if rule else ''}</span></div>"
    )
    bars = baseline_bars("this model", value, content.baselines) if content.baselines else ""
    return f'<div class="headline">{left}{bars}</div>'


def _protocol(content: ReportContent) -> str:
    rows = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
        for name, value in content.protocol.items()
    )
    notes = "".join(f"<li>{text(note)}</li>" for note in content.notes)
    return section(
        "protocol",
        "Protocol",
        f'<dl class="facts">{rows}</dl>' if rows else "",
        f"<h3>Notes</h3><ul>{notes}</ul>" if notes else "",
    )


def _metrics(content: ReportContent) -> str:
    splits = list(content.metrics)
    names = list(dict.fromkeys(name for values in content.metrics.values() for name in values))
    rows = [
        [text_cell(shown_name(name))]
        + [
            number_cell(content.metrics[split][name])
            if name in content.metrics[split]
            else Cell("", math.nan)
            for split in splits
        ]
        for name in names
    ]
    if not rows:
        return ""
    return section(
        "metrics", "Metrics", table(["metric", *splits], rows, caption="Metrics by split")
    )


def _per_label(content: ReportContent) -> str:
    if not content.per_label:
        return ""
    rows = [
        [
            text_cell(result.label),
            Cell(percent(result.train_frequency), result.train_frequency),
            Cell(str(result.positives), float(result.positives)),
            bar_cell(result.ap),
            number_cell(result.auroc),
            number_cell(result.precision),
            number_cell(result.recall),
            number_cell(result.f1),
        ]
        for result in sorted(content.per_label, key=lambda r: -r.ap if r.ap == r.ap else math.inf)
    ]
    head = ["label", "training images", f"positives, {content.split}", "AP", "AUROC"]
    head += ["precision", "recall", "F1"]
    return section(
        "labels",
        "AP per label",
        ap_against_frequency(content.per_label, content.split),
        table(head, rows, caption=_CAPTION),
    )
