"""The report of a run with several tasks: what each reaches, and whether sharing helped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gatlabel.files import write_text
from gatlabel.metrics.names import shown_name
from gatlabel.model import Model
from gatlabel.multitask.comparing import Comparison
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.evaluation import TaskResult, mean_change, relative_change
from gatlabel.multitask.parts import Part
from gatlabel.report.document import document
from gatlabel.report.markup import (
    Cell,
    bar_cell,
    number,
    number_cell,
    section,
    table,
    text,
    text_cell,
)
from gatlabel.report.plots import learning_curves

NAMES = {"single": "one model per task", "equal": "equal weights"}


def write_report(
    path: Path,
    config: MultiTaskConfig,
    parts: Sequence[Part],
    model: Model,
    own: Comparison,
    comparisons: Sequence[Comparison],
    curves: Sequence[Mapping[str, float]],
) -> None:
    """Writes the report as one self-contained HTML file.

    Args:
        path: The file.
        config: The options.
        parts: The data sets.
        model: The model.
        own: What it reaches.
        comparisons: What other models reach.
        curves: One row per epoch.
    """
    split = list(own.results)[-1]
    sections = {
        "Protocol": _protocol(config, parts, own),
        "Summary": _summary(own),
        "Comparison": _comparison(own, comparisons, split),
        "Learning": section("learning", "Learning curves", learning_curves(curves)),
    }
    for name in model.tasks:
        sections[f"Task-{name}"] = _task(name, own)
    title = f"{len(model.tasks)} tasks on one encoder"
    data = ", ".join(part.splits.name for part in parts)
    write_text(path, document(title, data, _headline(own, split), sections))


def _headline(own: Comparison, split: str) -> str:
    figures = "".join(
        f'<div class="figure"><b>{number(result.value)}</b>'
        f"<span>{text(name)}: {text(shown_name(result.main))}, {text(split)}</span></div>"
        for name, result in own.results[split].items()
    )
    return f'<div class="headline">{figures}</div>'


def _protocol(config: MultiTaskConfig, parts: Sequence[Part], own: Comparison) -> str:
    rows = {
        "encoder": f"{config.encoder.text}, weights {config.encoder.weights or 'none'}",
        "balancing": config.balancing,
        "mixing": config.mixing,
        "adapter": config.adapter,
        "epochs": config.run.epochs,
        "parameters": f"{own.parameters:,}",
        "training": f"{own.seconds:.0f} s",
    }
    facts = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in rows.items()
    )
    notes = [f"{part.splits.name}: {note}" for part in parts for note in part.splits.notes]
    listed = "".join(f"<li>{text(note)}</li>" for note in notes)
    return section(
        "protocol",
        "Protocol",
        f'<dl class="facts">{facts}</dl>',
        f"<h3>Notes</h3><ul>{listed}</ul>" if notes else "",
    )


def _summary(own: Comparison) -> str:
    rows = [
        [text_cell(name), text_cell(result.kind), text_cell(split), Cell(str(result.images),
         float(result.images)), text_cell(shown_name(result.main)), number_cell(result.value)]
        for split, results in own.results.items()
        for name, result in results.items()
    ]  # fmt: skip
    head = ["task", "kind", "split", "labelled images", "metric", "value"]
    return section("summary", "Summary", table(head, rows, caption="The main metric of each task"))


def _comparison(own: Comparison, comparisons: Sequence[Comparison], split: str) -> str:
    """Shows all models side by side, and the relative change of this one to each."""
    if not comparisons:
        return ""
    head = ["task", "metric", "this model"]
    for each in comparisons:
        head += [NAMES[each.name], "change"]
    rows = []
    for name, result in own.results[split].items():
        row = [text_cell(name), text_cell(shown_name(result.main)), number_cell(result.value)]
        for each in comparisons:
            row += _against(result, each.results.get(split, {}).get(name))
        rows.append(row)
    sentences = []
    for each in comparisons:
        change = mean_change(own.results[split], each.results.get(split, {}))
        sentences.append(
            f"<li>Against {text(NAMES[each.name])}: Δm {number(change, 1)} % "
            f"({own.parameters:,} against {each.parameters:,} parameters, "
            f"{own.seconds:.0f} against {each.seconds:.0f} s of training).</li>"
        )
    note = (
        "Δm is the mean relative change over the tasks; positive is better. One run each: changes "
        "smaller than those between seeds mean nothing."
    )
    return section(
        "comparison",
        "Did sharing help?",
        table(head, rows, caption=f"Models trained alike, on {split}"),
        f"<ul>{''.join(sentences)}</ul><p>{text(note)}</p>",
    )


def _against(result: TaskResult, other: TaskResult | None) -> list[Cell]:
    if other is None:
        return [Cell("–"), Cell("–")]
    change = relative_change(result, other)
    return [number_cell(other.value), Cell(f"{number(change, 1)} %", change)]


def _task(name: str, own: Comparison) -> str:
    found = {split: results[name] for split, results in own.results.items() if name in results}
    if not found:
        return ""
    names = list(dict.fromkeys(metric for result in found.values() for metric in result.metrics))
    rows = [
        [text_cell(shown_name(metric)), *(number_cell(r.metrics[metric]) for r in found.values())]
        for metric in names
    ]
    tables = [table(["metric", *found], rows, caption=f"Metrics of {name} by split")]
    last = list(found.values())[-1]
    if last.per_output:
        labels = [[text_cell(label), bar_cell(ap)] for label, ap in last.per_output.items()]
        tables.append(table(["label", "AP"], labels, caption="A dash: no positive, no AP"))
    return section(f"task-{name.lower()}", f"{name} ({last.kind})", *tables)
