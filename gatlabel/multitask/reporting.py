"""The report of a run with several tasks: metrics per task, and comparison with baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from gatlabel.files import write_json, write_text
from gatlabel.metrics.names import shown_name
from gatlabel.model.shared_graph import SharedGraph
from gatlabel.multitask.comparing import Comparison
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.evaluation import (
    Predictions,
    TaskResult,
    final_results,
    mean_change,
    relative_change,
)
from gatlabel.multitask.outcome import REPORT, RESULT, Outcome
from gatlabel.multitask.parts import Part
from gatlabel.report.class_decision_section import class_decision_section
from gatlabel.report.content import ReportContent
from gatlabel.report.decision_section import decision_section
from gatlabel.report.document import document
from gatlabel.report.graph_section import graph_section
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
from gatlabel.tasks import MultiClassTask, MultiLabelTask
from gatlabel.training.reporting import learned_attention

NAMES = {"single": "one model per task", "equal": "equal weights"}


def write_outcome(folder: Path, found: Outcome) -> None:
    """Writes ``metrics.json``, then the report.

    Raises:
        InputError: If a file cannot be written.
    """
    compared = []
    for each in found.comparisons:
        change = mean_change(found.own.results, each.results)
        compared.append({**each.to_dict(), "delta_m": None if math.isnan(change) else change})
    content = {**found.own.to_dict(), "comparisons": compared, "weights": dict(found.weights)}
    write_json(folder / RESULT, content)
    write_report(folder / REPORT, found)


def write_report(path: Path, found: Outcome) -> None:
    """Writes the report as one self-contained HTML file.

    Args:
        path: The file.
        found: The results.
    """
    config, own, model = found.config, found.own, found.model
    sections = {
        "Protocol": _protocol(config, found.parts, found.weights, own),
        "Summary": _summary(own),
        "Comparison": _comparison(own, found.comparisons),
        "Learning": section("learning", "Learning curves", learning_curves(found.curves)),
    }
    for task in config.tasks:
        sections[f"Task-{task.name}"] = _task(task.name, own)
        its = model.tasks[task.name]
        if isinstance(its, MultiLabelTask):
            content = _content(its, found.predictions)
            sections[f"Decisions-{task.name}"] = decision_section(content, task.name)
            sections[f"Graph-{task.name}"] = graph_section(content, task.name)
        elif isinstance(its, MultiClassTask) and its.decision is not None:
            last = _last_split(found.predictions, task.name)
            own_images = found.predictions[last][task.name]
            sections[f"Decisions-{task.name}"] = class_decision_section(
                its.decision, own_images.outputs, own_images.targets, task.name, last
            )
    if model.shared is not None:
        sections["Graph"] = graph_section(_shared(model.shared))
    count, first = len(config.tasks), config.tasks[0]
    title = f"{count} tasks on one encoder" if count > 1 else f"{first.name} ({first.kind})"
    data = ", ".join(part.splits.name for part in found.parts)
    write_text(path, document(title, data, _headline(own), sections))


def _content(task: MultiLabelTask, predictions: Predictions) -> ReportContent:
    """Returns what the sections on decisions and graph show of a task, on its last split."""
    last = _last_split(predictions, task.name)
    shown = predictions[last][task.name]
    return ReportContent(
        title=task.name,
        data_name="",
        labels=task.labels,
        protocol={},
        metrics={},
        logits=shown.outputs,
        targets=shown.targets,
        ids=[str(image) for image in range(len(shown.outputs))],
        split=last,
        decision=task.decision,
        graph=task.graph,
        attention=learned_attention(task.head, task.graph),
    )


def _last_split(predictions: Predictions, task: str) -> str:
    return [split for split, own in predictions.items() if task in own][-1]


def _shared(shared: SharedGraph) -> ReportContent:
    """Returns what the section on the graph of several tasks shows."""
    labels = shared.graph.labels
    nothing = torch.zeros(0, len(labels))
    return ReportContent(
        title="",
        data_name="",
        labels=labels,
        protocol={},
        metrics={},
        logits=nothing,
        targets=nothing,
        ids=[],
        graph=shared.graph,
        attention=learned_attention(shared.head, shared.graph),
    )


def _headline(own: Comparison) -> str:
    figures = "".join(
        f'<div class="figure"><b>{number(result.value)}</b>'
        f"<span>{text(name)}: {text(shown_name(result.main))}, {text(split)}</span></div>"
        for name, (split, result) in final_results(own.results).items()
    )
    return f'<div class="headline">{figures}</div>'


def _protocol(
    config: MultiTaskConfig, parts: Sequence[Part], weights: Mapping[str, float], own: Comparison
) -> str:
    rows = {
        "encoder": f"{config.encoder.text}, weights {config.encoder.weights or 'none'}",
        "balancing": config.balancing,
        "mixing": config.mixing,
        "adapter": config.adapter,
        "epochs": config.run.epochs,
        "parameters": f"{own.parameters:,}",
        "training": f"{own.seconds:.0f} s",
    }
    if config.shared.tasks is not None:
        rows["graph"] = (
            f"one graph with the labels of {', '.join(config.shared.tasks)}: "
            f"{config.shared.graph}, head {config.shared.head.name}"
        )
    if weights:
        listed = (f"{name} {weight:.3g}" for name, weight in weights.items())
        rows["weights at the end"] = ", ".join(listed)
    facts = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in rows.items()
    )
    notes = [f"{part.splits.name}: {note}" for part in parts for note in part.splits.notes]
    items = "".join(f"<li>{text(note)}</li>" for note in notes)
    return section(
        "protocol",
        "Protocol",
        f'<dl class="facts">{facts}</dl>',
        f"<h3>Notes</h3><ul>{items}</ul>" if notes else "",
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


def _comparison(own: Comparison, comparisons: Sequence[Comparison]) -> str:
    """Shows all models side by side, and the relative change of this one to each."""
    if not comparisons:
        return ""
    head = ["task", "metric", "split", "this model"]
    for each in comparisons:
        head += [NAMES[each.name], "change"]
    rows = []
    for name, (split, result) in final_results(own.results).items():
        row = [text_cell(name), text_cell(shown_name(result.main)), text_cell(split)]
        row.append(number_cell(result.value))
        for each in comparisons:
            row += _against(result, each.results.get(split, {}).get(name))
        rows.append(row)
    sentences = []
    for each in comparisons:
        change = mean_change(own.results, each.results)
        sentences.append(
            f"<li>Against {text(NAMES[each.name])}: Δm {_percent(change)} "
            f"({own.parameters:,} against {each.parameters:,} parameters, "
            f"{own.seconds:.0f} against {each.seconds:.0f} s of training).</li>"
        )
    note = (
        "Δm is the mean relative change over the tasks; positive is better. Each model was trained "
        "once: a change smaller than the variation between seeds is not evidence."
    )
    return section(
        "comparison",
        "Did sharing help?",
        table(head, rows, caption="Models trained with the same options"),
        f"<ul>{''.join(sentences)}</ul><p>{text(note)}</p>",
    )


def _against(result: TaskResult, other: TaskResult | None) -> list[Cell]:
    if other is None:
        return [Cell("–"), Cell("–")]
    change = relative_change(result, other)
    return [number_cell(other.value), Cell(_percent(change), change)]


def _percent(change: float) -> str:
    return "–" if math.isnan(change) else f"{change:+.1f} %".replace("-", "−")


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
    if last.protocol:
        tables.append(f"<p>{text('; '.join(last.protocol))}</p>")
    if last.per_output:
        labels = [[text_cell(label), bar_cell(ap)] for label, ap in last.per_output.items()]
        tables.append(table(["label", "AP"], labels, caption="–: no positive, AP undefined"))
    return section(f"task-{name.lower()}", f"{name} ({last.kind})", *tables)
