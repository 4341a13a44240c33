"""``gatlabel benchmark summary``, and printing of benchmark results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatlabel.cli.output import add_row, make_table, show, show_table
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import InputError

if TYPE_CHECKING:
    from gatlabel.experiments import BenchmarkResult

#: Columns of the table of one data set on a terminal, which has no space for all.
SHOWN = ("method", "mAP", "Δ linear", "Δ no edges")


def summary_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser(
        "benchmark summary",
        "Combines finished benchmarks of several data sets in one report: methods by data set, "
        "with p-values corrected over all of them.",
    )
    parser.add_argument(
        "folders", metavar="FOLDER", nargs="+", type=Path,
        help="Folders written by gatlabel benchmark graphs or heads.",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("runs") / "summary", help="Folder of the summary."
    )
    parser.add_argument("--progress", type=bool, default=True, help="Show a progress bar.")
    return parser


def summary_command(words: list[str]) -> None:
    """Combines finished benchmarks, prints the results and writes the report."""
    options = parse(summary_parser(), words)
    from gatlabel.experiments import BenchmarkResult, write_report

    folder: Path = options.output
    if folder.exists() and not folder.is_dir():  # checked before the statistics, which take time
        raise InputError(f"option --output: {folder} is not a folder: give another path")
    result = BenchmarkResult.load(options.folders, progress=options.progress)
    write_report(result, folder)
    show_result(result, folder)


def show_result(result: BenchmarkResult, folder: Path) -> None:
    """Prints tables, verdict and the path of the report."""
    from gatlabel.experiments.tables import result_tables

    one = len(result.data_sets) == 1
    for condition in result.conditions:
        for found in result_tables(result.data_sets, condition, controls=one):
            columns = [k for k, name in enumerate(found.head) if name in SHOWN or not one]
            table = make_table([found.head[k] for k in columns], found.title or result.title)
            for row in found.rows:
                add_row(table, *(row[k] for k in columns))
            show_table(table)
    over = "" if one else " over all folders"
    show(
        f"In per cent and points; * significant after Holm's correction{over}.",
        *result.verdict,
        f"report: {folder / 'report.html'}",
    )
