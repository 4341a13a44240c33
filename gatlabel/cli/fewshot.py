"""``gatlabel fewshot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.cli.config_files import config_parser, configured, require_options, show_config
from gatlabel.cli.output import add_row, make_table, show, show_json, show_table
from gatlabel.cli.parsing import Parser, parse
from gatlabel.fewshot.options import FewShotConfig

if TYPE_CHECKING:
    from rich.table import Table

    from gatlabel.fewshot import FewShotResult

DESCRIPTION = (
    "Measures how well new labels are learned from few images on a run's features. Some labels of "
    "its data set are treated as novel, and learned from a few images each; the other images test "
    "them."
)


PLACES = {"run": "The run folder"}


def fewshot_parser() -> Parser:
    """Makes the parser of the command."""
    switches = {"json": "Print JSON instead of a table"}
    return config_parser("fewshot", DESCRIPTION, FewShotConfig, PLACES, **switches)


def fewshot_command(words: list[str]) -> None:
    """Runs few-shot episodes on a run's features."""
    options = parse(fewshot_parser(), words)
    config = configured(FewShotConfig, options, PLACES)
    if options.print_config:
        show_config(config.to_dict())
        return
    require_options(config, "fewshot", run="the run folder")
    from gatlabel.fewshot.of_runs import fewshot_run

    result = fewshot_run(config, lambda line: None)  # notes are printed with the protocol
    if options.json:
        show_json(result.to_dict())
        return
    show_table(_table(result, f"mAP of novel labels, {config.run}"))
    if any(name == "similar" for name, _ in result.values):
        show_table(_differences(result))
    show(*result.protocol)


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
