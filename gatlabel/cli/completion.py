"""``gatlabel completion``: prints a script for shell completion."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from gatlabel.cli.output import show_block
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import require_extra
from gatlabel.option_values import kinds_of

Tree = dict[str, "Callable[[], Parser] | Tree"]


def completion_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser(
        "completion",
        'Prints a script for a shell (extra completion). In bash: eval "$(gatlabel completion '
        'bash)".',
    )
    parser.add_argument(
        "shell", type=Literal["bash", "zsh", "tcsh"], help="The shell: bash, zsh or tcsh."
    )
    return parser


def completion_command(words: list[str]) -> None:
    """Prints the script."""
    options = parse(completion_parser(), words)
    shtab = require_extra("shtab", "completion")
    root = argparse.ArgumentParser(prog="gatlabel")
    _add(root, _commands(), shtab.FILE)
    show_block(shtab.complete(root, options.shell))


def _commands() -> Tree:
    """Returns the parsers of all commands by name."""
    from gatlabel.cli.benchmark import benchmark_parser
    from gatlabel.cli.decide import decide_parser
    from gatlabel.cli.evaluate import evaluate_parser
    from gatlabel.cli.explain import explain_parser
    from gatlabel.cli.export import export_parser
    from gatlabel.cli.extend import extend_parser
    from gatlabel.cli.fewshot import fewshot_parser
    from gatlabel.cli.graph import build_parser, compare_parser, show_parser
    from gatlabel.cli.predict import predict_parser
    from gatlabel.cli.pretrain import pretrain_parser
    from gatlabel.cli.suggest import suggest_parser
    from gatlabel.cli.summary import summary_parser
    from gatlabel.cli.train import train_parser

    return {
        "train": train_parser,
        "evaluate": evaluate_parser,
        "decide": decide_parser,
        "predict": predict_parser,
        "export": export_parser,
        "explain": explain_parser,
        "fewshot": fewshot_parser,
        "extend": extend_parser,
        "suggest": suggest_parser,
        "pretrain": pretrain_parser,
        "graph": {"build": build_parser, "show": show_parser, "compare": compare_parser},
        "benchmark": {
            "graphs": lambda: benchmark_parser("graphs"),
            "heads": lambda: benchmark_parser("heads"),
            "methods": lambda: benchmark_parser("methods"),
            "summary": summary_parser,
        },
        "completion": completion_parser,
    }


def _add(parser: argparse.ArgumentParser, commands: Tree, file: object) -> None:
    sub = parser.add_subparsers(parser_class=argparse.ArgumentParser)
    for name, make in commands.items():
        if isinstance(make, dict):
            _add(sub.add_parser(name, add_help=False, help=", ".join(make)), make, file)
            continue
        made = make()
        for action in made._actions:
            if Path in kinds_of(made.hints.get(action.dest)):
                action.complete = file  # type: ignore[attr-defined]
            action.choices = made.words.get(action.dest) or None
        sub.add_parser(name, parents=[made], add_help=False, help=made.description)
