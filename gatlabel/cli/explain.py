"""``gatlabel explain``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatlabel.cli.output import add_row, make_table, show, show_table
from gatlabel.cli.parsing import Namespace, Parser, at_least_one, check_outputs, make_parser, parse
from gatlabel.errors import InputError
from gatlabel.files import check_drawing, write_json
from gatlabel.model.formats import has_tasks

if TYPE_CHECKING:
    from rich.table import Table

    from gatlabel.explain import GraphExplanation, ImageExplanation

_NEIGHBOURS = 3  # per label in the table of an image


def explain_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser(
        "explain",
        "Explains one image: a heat map per label, and what its neighbours in the label graph "
        "contribute. Without an image, explains the run's label graph: the contribution of each "
        "edge, and its effect on AP.",
    )
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument("image", nargs="?", type=Path | None, help="The image to explain.")
    parser.add_argument(
        *("--output", "-o"),
        type=Path | None,
        help="Write this file. Image: the drawing (png, svg, pdf) or all values (json). Graph: "
        "all rows (csv).",
    )
    parser.add_argument(
        "--label",
        action="append",
        help="Explain this label of the image, or show its incoming edges; may be repeated.",
    )
    parser.add_argument(
        "--task", type=str | None, help="Image: the task to explain, of a run with several."
    )
    parser.add_argument(
        "--top", type=int, default=3, help="Image: number of labels, the most probable first."
    )
    parser.add_argument("--device", type=str, default="auto", help="Image: auto, cpu, cuda, …")
    parser.add_argument("--split", type=str | None, help="Graph: train, val or test.")
    parser.add_argument("--rows", type=int, default=25, help="Graph: rows of the table.")
    parser.add_argument(
        "--edges",
        type=int,
        default=200,
        help="Graph: maximum number of edges to explain: those into --label first, then the "
        "heaviest.",
    )
    parser.add_argument(
        "--draw", type=Path | None, help="Graph: draw before and after training (png, svg, pdf)."
    )
    return parser


def explain_command(words: list[str]) -> None:
    """Explains an image or the label graph of a run."""
    options = parse(explain_parser(), words)
    at_least_one(options, "edges", "rows", "top")
    check_outputs(options, "output", "draw")
    if options.image is None:
        _explain_graph(options)
    else:
        _explain_image(options)


def _explain_image(options: Namespace) -> None:
    output: Path | None = options.output
    if output is not None and output.suffix.lower() != ".json":
        check_drawing(output)
    from gatlabel.deploy import Predictor, TaskPredictor

    predictor = Predictor.load(options.run, device=options.device)
    task = {} if options.task is None else {"task": options.task}
    if task and not isinstance(predictor, TaskPredictor):
        raise InputError(f"--task {options.task}: only for a run with several tasks")
    found = predictor.explain(str(options.image), labels=options.label, top=options.top, **task)
    show_table(_image_table(found))
    if output is None:
        return
    if output.suffix.lower() == ".json":
        write_json(output, found.to_dict())
    else:
        found.draw(output)


def _image_table(found: ImageExplanation) -> Table:
    table = make_table(
        ("label", "contributions of neighbours to the logit", "probability", "logit"),
        f"explanation of {found.source}",
        "contribution: logit with the neighbour's edge minus logit without it",
        left=2,
    )
    for each in found.labels:
        neighbours = each.neighbours[:_NEIGHBOURS]
        shown = [f"{one.source} {one.contribution:+.2f}" for one in neighbours]
        add_row(
            table,
            each.label,
            ", ".join(shown) or "–",
            f"{each.probability:.3f}",
            f"{each.logit:+.2f}",
        )
    return table


def _explain_graph(options: Namespace) -> None:
    if has_tasks(options.run):
        raise InputError(
            f"{options.run} has several tasks: give an image, and --task; their graphs are in the "
            "report"
        )
    from gatlabel.training.explaining import explain_run

    labels: list[str] = options.label or []
    explanation = explain_run(options.run, split=options.split, most=options.edges, labels=labels)
    rows = explanation.strongest()
    if labels:
        rows = tuple(edge for edge in rows if edge.target in labels)
    table = make_table(
        ("edge", "weight", "attention", "start", "contribution", "start", "ΔAP"),
        f"contributions of the edges of {options.run}",
        "contribution: share of the target's classifier; start: the value before training; "
        "ΔAP: AP with the edge minus AP without it",
    )
    for edge in rows[: options.rows]:
        pairs = (
            (edge.attention, edge.attention_before),
            (edge.contribution, edge.contribution_before),
        )
        cells = [_number(edge.weight), *(_number(value) for pair in pairs for value in pair)]
        cells.append(_number(edge.ap_change, sign=True))
        add_row(table, f"{edge.source} -> {edge.target}", *cells)
    show_table(table)
    show(*_notes(explanation, labels))
    if options.output is not None:
        explanation.save(options.output)
    if options.draw is not None:
        explanation.draw(options.draw)


def _notes(explanation: GraphExplanation, labels: Sequence[str]) -> list[str]:
    """Returns notes about edges that were left out, and about labels without incoming edges."""
    notes = []
    explained, total = len(explanation.edges), explanation.total
    into = {label: len(explanation.neighbours(label)) for label in labels}
    names = ", ".join(map(repr, labels))
    if total is not None and explained < total:
        which = "the heaviest"
        if labels and sum(into.values()) == explained:
            which += f" into {names}"
        elif any(into.values()):
            which = f"those into {names}, then {which}"
        notes.append(f"{explained} of {total} edges: {which}; --edges {total} explains all")
    return notes + [f"{label!r} has no incoming edge" for label in labels if not into[label]]


def _number(value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.4f}" if sign else f"{value:.3f}"
