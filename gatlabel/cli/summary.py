"""``gatlabel benchmark summary``."""

from __future__ import annotations

from pathlib import Path

from gatlabel.cli.output import add_row, make_table, show, show_table
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import InputError


def summary_parser() -> Parser:
    """Makes the parser of the command."""
    parser = make_parser(
        "benchmark summary",
        "Puts finished benchmarks of several data sets into one report: contenders by data set, "
        "p-values corrected over all of them.",
    )
    parser.add_argument(
        "folders", metavar="FOLDER", nargs="+", type=Path,
        help="Folders that gatlabel benchmark graphs or heads wrote.",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("runs") / "summary", help="Folder of the summary."
    )
    parser.add_argument("--progress", type=bool, default=True, help="Show a progress bar.")
    return parser


def summary_command(words: list[str]) -> None:
    """Puts finished benchmarks side by side, prints what they come to and writes the report."""
    options = parse(summary_parser(), words)
    from gatlabel.experiments import summarize
    from gatlabel.experiments.summary_tables import tables

    folder: Path = options.output
    if folder.exists() and not folder.is_dir():  # better now than after the statistics
        raise InputError(f"option --output: {folder} is no folder: give another")
    summary = summarize(options.folders, progress=options.progress)
    summary.write(folder)
    for where in summary.settings:
        for title, head, rows in tables(summary.results, where, controls=False):
            table = make_table(head, title)
            for row in rows:
                add_row(table, *row)
            show_table(table)
    show(
        "Per cent and points; * beyond chance after Holm's correction over all folders.",
        *summary.verdict,
        f"report: {folder / 'summary.html'}",
    )
