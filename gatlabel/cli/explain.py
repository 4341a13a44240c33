"""``gatlabel explain``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from gatlabel.cli.output import add_row, make_table, show, show_table
from gatlabel.cli.parsing import Parser, at_least_one, check_outputs, make_parser, parse

if TYPE_CHECKING:
    from gatlabel.explain import GraphExplanation


def explain_parser() -> Parser:
    """Makes the parser of the command."""
    parser = make_parser(
        "explain", "Explains a run's label graph: what each edge lent, and what it did for AP."
    )
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument("--split", type=str | None, help="train, val or test; default: test.")
    parser.add_argument("--label", type=str | None, help="Show the in-edges of this label only.")
    parser.add_argument("--rows", type=int, default=25, help="Rows of the table.")
    parser.add_argument(
        "--edges",
        type=int,
        default=200,
        help="Explain at most this many edges: those of --label first, then the heaviest.",
    )
    parser.add_argument("--output", type=Path | None, help="Write all rows to this csv file.")
    parser.add_argument("--draw", type=Path | None, help="Draw before and after (png, svg, pdf).")
    return parser


def explain_command(words: list[str]) -> None:
    """Explains which neighbours lent a label its classifier."""
    options = parse(explain_parser(), words)
    at_least_one(options, "edges", "rows")
    check_outputs(options, "output", "draw")
    from gatlabel.training.explaining import explain_run

    explanation = explain_run(
        options.run, split=options.split, most=options.edges, label=options.label
    )
    if options.label is None:
        shown = explanation.strongest(options.rows)
    else:
        shown = explanation.lenders(options.label)[: options.rows]
    table = make_table(
        ("source", "target", "weight", "attention", "(start)", "lent", "(start)", "ΔAP"),
        f"what the edges of {options.run} lent",
        "lent: share of the target's classifier; ΔAP: with the edge minus without it",
        left=2,
    )
    for edge in shown:
        values = (edge.weight, edge.attention, edge.attention_before, edge.lent, edge.lent_before)
        cells = [_number(value) for value in values] + [_number(edge.ap_change, sign=True)]
        add_row(table, edge.source, edge.target, *cells)
    show_table(table)
    show(*_notes(explanation, options.label))
    if options.output is not None:
        explanation.save(options.output)
    if options.draw is not None:
        explanation.draw(options.draw)


def _notes(explanation: GraphExplanation, label: str | None) -> list[str]:
    """Says what the table cannot: that edges were left out, or that there are none."""
    notes = []
    explained, total = len(explanation.edges), explanation.total
    lenders = 0 if label is None else len(explanation.lenders(label))
    if total is not None and explained < total:
        which = "the heaviest"
        if lenders == explained:
            which += f" into {label!r}"
        elif lenders:
            which = f"those into {label!r}, then {which}"
        notes.append(f"{explained} of {total} edges: {which}; --edges {total} explains all")
    if label is not None and not lenders:
        notes.append(f"no edge leads to {label!r}")
    return notes


def _number(value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.4f}" if sign else f"{value:.3f}"
