"""``gatlabel decide``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gatlabel.cli.output import note, show, show_json, show_table
from gatlabel.cli.parsing import Namespace, Parser, at_least_one, make_parser, parse
from gatlabel.cli.tables import decision_table, label_table, task_metrics_table
from gatlabel.decisions.options import DecisionOptions
from gatlabel.errors import InputError
from gatlabel.model.formats import has_tasks

if TYPE_CHECKING:
    from gatlabel.decisions.decision import Decision
    from gatlabel.training.evaluation import Evaluation

DESCRIPTION = (
    "Chooses how a trained run converts probabilities to label sets, on images that were not "
    "used for training, and writes decisions.json. predict, evaluate, export and the report use it."
)
SPLITS = ("validation", "test", "out-of-fold")


def decide_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("decide", DESCRIPTION)
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument(
        "--aim",
        type=str | None,
        help="macro-f1, micro-f1, precision=0.9, recall=0.9, miss-rate=0.1 (of an image's present "
        "labels, guaranteed) or fixed=0.5; default: macro-f1.",
    )
    parser.add_argument("--per-label", type=bool, default=False, help="One threshold per label.")
    parser.add_argument("--global", type=bool, default=False, help="One threshold for all labels.")
    parser.add_argument(
        "--calibrate",
        type=Literal["none", "temperature", "vector"],
        default="none",
        help="Calibrate first: temperature (one scale for all labels) or vector (one per label).",
    )
    parser.add_argument(
        "--confidence",
        type=float | None,
        help="Probability, over draws of images, with which miss-rate or precision is met; "
        "default: they are met on average.",
    )
    parser.add_argument(
        "--split",
        type=str | None,
        help="Images to choose on: validation, test or out-of-fold; default: out-of-fold if "
        "available (--folds), otherwise validation.",
    )
    parser.add_argument(
        "--task",
        type=str | None,
        help="A task of a run with several; default: all multi-label ones, and with --calibrate "
        "temperature all multi-class ones.",
    )
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of tables.")
    parser.add_argument("--rows", type=int, default=100, help="Maximum number of table rows.")
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    return parser


def decide_command(words: list[str]) -> None:
    """Chooses the decision of a run, prints it and writes it to the run folder."""
    options = parse(decide_parser(), words)
    at_least_one(options, "rows")
    given = _options(options)
    if options.split is not None and options.split not in (*SPLITS, "val", "train"):
        raise InputError(f"--split {options.split}: give one of {', '.join(SPLITS)}")
    if has_tasks(options.run):
        _decide_tasks(options, given)
        return
    if options.task is not None:
        raise InputError(f"--task {options.task}: only for a run with several tasks")
    from gatlabel.training.redeciding import decide_run

    decision, evaluations = decide_run(
        options.run, given, split=options.split, device=options.device
    )
    if options.json:
        splits = {each.split: each.report.to_dict() for each in evaluations}
        show_json({"run": str(options.run), **decision.to_dict(), "splits": splits})
    else:
        _show(options.run, decision, evaluations, options.rows)
    _note_bundles(options.run)


def _decide_tasks(options: Namespace, given: DecisionOptions) -> None:
    """Chooses the decisions of a run with several tasks."""
    from gatlabel.multitask.redeciding import decide_tasks

    decisions, results = decide_tasks(
        options.run, given, task=options.task, split=options.split, device=options.device
    )
    if options.json:
        tasks = {name: decision.to_dict() for name, decision in decisions.items()}
        splits = {
            split: {name: own[name].to_dict() for name in decisions if name in own}
            for split, own in results.items()
        }
        show_json({"run": str(options.run), "tasks": tasks, "splits": splits})
    else:
        for name, decision in decisions.items():
            show_table(decision_table(decision, f"decision of {name} in {options.run}"))
            split, own = [(split, own[name]) for split, own in results.items() if name in own][-1]
            show_table(task_metrics_table(name, split, own))
            show(*own.protocol)
    _note_bundles(options.run)


def _note_bundles(run: Path) -> None:
    from gatlabel.training.run_swap import bundles

    for bundle in bundles(run):
        note(f"{bundle} still has the decision of its export: export it again")


def _options(options: Namespace) -> DecisionOptions:
    own, one = options["per_label"], options["global"]
    if own and one:
        raise InputError("--per-label and --global: give only one of them")
    return DecisionOptions(
        aim=options.aim or "macro-f1",
        per_label=True if own else False if one else None,
        calibrate=options.calibrate,
        confidence=options.confidence,
    )


def _show(run: Path, decision: Decision, evaluations: Sequence[Evaluation], rows: int) -> None:
    show_table(decision_table(decision, f"decision of {run}"))
    shown = evaluations[-1]
    show_table(label_table(shown, rows))
    metrics = shown.report.metrics
    show(
        f"{shown.split}: macro-F1 {metrics['decision_macro_F1']:.3f} (at 0.5: "
        f"{metrics['macro_F1']:.3f}), micro-F1 {metrics['decision_OF1']:.3f} (at 0.5: "
        f"{metrics['OF1']:.3f})",
        f"share of an image's present labels missed: {metrics['decision_miss_rate']:.3f}",
    )
    if decision.split == shown.split:
        show("the thresholds were chosen on these images: expect lower values on others")
