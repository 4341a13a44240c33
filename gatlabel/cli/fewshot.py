"""``gatlabel fewshot``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatlabel.cli.output import add_row, make_table, show, show_json, show_table
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from gatlabel.fewshot import FewShotResult

DESCRIPTION = (
    "Measures how well new labels are learned from few images on a run's features. Some labels of "
    "its data set are treated as novel, and learned from a few images each; the other images test "
    "them."
)


def fewshot_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("fewshot", DESCRIPTION)
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument(
        "--shots", type=tuple[int, ...], default=(1, 2, 5, 10), help="Images per label: 0,1,2,5,10."
    )
    parser.add_argument("--episodes", type=int, default=10, help="Number of episodes.")
    parser.add_argument(
        "--novel",
        type=str,
        default="0.25",
        help="Novel labels: a share, drawn in each episode; names separated by commas; or laso, "
        "the published split of COCO.",
    )
    parser.add_argument(
        "--similarity",
        type=str,
        default="names",
        help="Source of label similarity: names, a file of vectors or of a graph, or none.",
    )
    parser.add_argument(
        "--learners", type=str, default="all", help="Names separated by commas; default: all."
    )
    parser.add_argument("--split", type=str | None, help="Evaluate on val or test; default: test.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the random episodes.")
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of a table.")
    parser.add_argument(
        "--output", type=Path | None, help="Folder to write fewshot.json and fewshot.csv to."
    )
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    return parser


def fewshot_command(words: list[str]) -> None:
    """Runs few-shot episodes on a run's features."""
    options = parse(fewshot_parser(), words)
    if options.output is not None and options.output.exists() and not options.output.is_dir():
        raise InputError(f"cannot write to {options.output}: it is a file, give a folder")
    from gatlabel.fewshot.evaluation import FewShotOptions
    from gatlabel.fewshot.learners import LEARNERS
    from gatlabel.fewshot.of_runs import fewshot_run, write_fewshot

    every = options.learners == "all"
    learners = tuple(LEARNERS) if every else tuple(options.learners.split(","))
    requested = FewShotOptions(
        shots=options.shots,
        episodes=options.episodes,
        novel=_novel(options.novel),
        learners=learners,
        with_novel=options.novel == "laso",
        seed=options.seed,
    )
    result = fewshot_run(
        options.run,
        requested,
        similarity=options.similarity,
        split=options.split,
        device=options.device,
        log=lambda line: None,  # the notes are printed with the protocol
    )
    if options.json:
        show_json(result.to_dict())
    else:
        show_table(_table(result, f"mAP of novel labels, {options.run}"))
        if any(name == "similar" for name, _ in result.values):
            show_table(_differences(result))
        show(*result.protocol)
    if options.output is not None:
        write_fewshot(result, options.output)


def _novel(text: str) -> str | float | tuple[str, ...]:
    if text == "laso":
        return text
    try:
        return float(text)
    except ValueError:
        return tuple(name.strip() for name in text.split(","))


def _table(result: FewShotResult, title: str) -> Table:
    shots = sorted({K for _, K in result.values})
    positives = {K: sum(result.positives[K]) / len(result.positives[K]) for K in shots}
    head = ["learner", *(f"{K} ({positives[K]:.1f})" for K in shots)]
    table = make_table(head, title, "columns: shots (positives per label in fact); 95 % intervals")
    for name in dict.fromkeys(name for name, _ in result.values):
        cells = []
        for K in shots:
            if (name, K) not in result.values:
                cells.append("–")
                continue
            one = result.interval(name, K)
            cells.append(f"{one.mean:.1f} ±{one.high - one.mean:.1f}")
        add_row(table, name, *cells)
    return table


def _differences(result: FewShotResult) -> Table:
    shots = sorted({K for _, K in result.values if K})
    others = [n for n in dict.fromkeys(n for n, _ in result.values) if n != "similar"]
    table = make_table(["similar minus", *map(str, shots)], "paired differences, points of mAP")
    for other in others:
        found = [result.difference(other, K) for K in shots]
        cells = [f"{one.mean:+.1f} [{one.low:+.1f}, {one.high:+.1f}]" for one in found]
        add_row(table, other, *cells)
    return table
