"""``gatlabel benchmark graphs | heads | methods | summary``."""

from __future__ import annotations

import dataclasses
import operator
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

from gatlabel.cli.options import (
    Flag,
    add_options,
    flags_of,
    given_options,
    long_help,
    short_help,
    topic_help,
)
from gatlabel.cli.output import show_block
from gatlabel.cli.parsing import Namespace, Parser, make_parser, parse
from gatlabel.cli.summary import show_result, summary_command
from gatlabel.errors import InputError, Interrupted, unknown_choice
from gatlabel.experiments.config import BenchmarkConfig, Kind
from gatlabel.graph.spec import split_specs
from gatlabel.interruptions import Stopped
from gatlabel.logs import log
from gatlabel.option_values import from_text, kinds_of
from gatlabel.options import differing, nested, updated
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import read_config

USAGE = """\
usage: gatlabel benchmark COMMAND [options]

  graphs     compare label graphs under one head: does one help, and which?
  heads      compare heads on one label graph
  methods    compare classical methods (SVM, forest, ML-kNN, ...) with the heads
  summary    combine finished benchmarks of several data sets in one report

graphs and heads tune every method in the same way, include controls (no edges,
random edges, permuted labels, edges ablated at test) and test differences for
significance; methods has no controls. Run the same command again to continue
after an interruption. Each takes one data set:

  gatlabel benchmark graphs --data voc --root voc2007 --output runs/voc
  gatlabel benchmark graphs --data csv --root photos --output runs/photos
  gatlabel benchmark summary runs/voc runs/photos

gatlabel benchmark COMMAND --help lists the options of a command.
"""
DESCRIPTIONS = {
    "graphs": "Compares label graphs under one head, with controls, seeds and paired tests. "
    "Without options, on the built-in scenes.",
    "heads": "Compares heads on one label graph, with controls, seeds and paired tests. "
    "Without options, on the built-in scenes.",
    "methods": "Compares classical methods with the linear and the graph-attention head on frozen "
    "features, with seeds and paired tests. Without options, on the built-in scenes.",
}
OTHERS = {
    "--config": "YAML file of options of train",
    "--print-config": "Print all options of training as YAML and exit",
}
#: Training options that a benchmark replaces by its own, with the replacement.
INSTEAD = {
    "head": "--heads",
    "graph": "--graphs",
    "missing.mask_labels": "--mask-labels",
    "missing.unknown": "--unknown",
}


def benchmark_command(words: list[str]) -> None:
    """Runs a benchmark or the summary, and prints the results."""
    if not words or words[0] in ("-h", "--help"):
        show_block(USAGE)
        if words:
            raise SystemExit(0)
        return
    if words[0] == "summary":
        return summary_command(words[1:])
    if words[0] not in DESCRIPTIONS:
        raise unknown_choice("benchmark", words[0], [*DESCRIPTIONS, "summary"])
    kind = cast(Kind, words[0])
    options = parse(benchmark_parser(kind), words[1:])
    config = _config(kind, options)
    if options.print_config:
        show_block(config.train.to_yaml())
        return
    from gatlabel.experiments.runner import run_benchmark

    try:
        result = run_benchmark(config, log=log)
    except Stopped as stop:
        line = f"{stop}; finished results are kept: run the same command again to continue"
        raise Interrupted(line, stop.exit_code) from None
    show_result(result, config.folder)


def _flags() -> tuple[list[Flag], list[Flag]]:
    """Returns the options of benchmarks, and the options of training that they accept."""
    own = [flag for flag in flags_of(BenchmarkConfig, _is_own) if flag.path != "kind"]
    return own, flags_of(TrainConfig, lambda field: bool(field.metadata.get("benchmark", True)))


def benchmark_parser(kind: str) -> Parser:
    """Creates the parser of the command; kind is a key of DESCRIPTIONS."""
    own, theirs = _flags()

    def help_on(topic: str | None) -> str:
        if topic is None or topic.startswith("-"):
            usage = f"gatlabel benchmark {kind} [options]"
            return f"{short_help(usage, DESCRIPTIONS[kind], theirs, OTHERS)}\n\n{long_help(own)}"
        return topic_help(topic, theirs)

    parser = make_parser(f"benchmark {kind}", DESCRIPTIONS[kind], help_on)
    add_options(parser, own)
    parser.add_argument("--config", type=Path | None, help="YAML file of options of train.")
    parser.add_argument(
        "--print-config", type=bool, default=False, help="Print all options of training."
    )
    add_options(parser, theirs)
    return parser


def _is_own(field: dataclasses.Field[Any]) -> bool:
    return field.name != "train"


def _config(kind: Kind, options: Namespace) -> BenchmarkConfig:
    """Returns the given options, which override those of the config file."""
    from gatlabel.experiments.config import make_config

    named = given_options(options, [flag for flags in _flags() for flag in flags])
    hints = get_type_hints(BenchmarkConfig)
    own = {name: _value(name, named[name], hints[name]) for name in named if name in hints}
    training = {name: value for name, value in named.items() if name not in hints}
    base = TrainConfig()
    if options.config is not None:
        base, notes = _of_training(read_config(options.config))
        for line in notes:
            log(line)
    train = updated(base, nested(training), from_text)
    return make_config(kind, train=train, **own)


def _of_training(config: TrainConfig) -> tuple[TrainConfig, list[str]]:
    """Returns the options of a config file that benchmarks use, and notes on the others."""
    usual, given = TrainConfig(), set(differing(config, TrainConfig()))
    notes: list[str] = []
    reset: dict[str, Any] = {}
    for name, option in INSTEAD.items():
        found = {each for each in given if each == name or each.startswith(f"{name}.")}
        reset |= {name: operator.attrgetter(name)(usual)}
        if found:
            notes.append(f"{min(found)} of the config file is not used here: give {option}")
    return config.with_options(reset), notes


def _value(name: str, text: Any, hint: Any) -> Any:
    """Reads an option of the benchmark; the items of a list are separated by commas."""
    if get_origin(hint) is not tuple:
        return from_text(text, hint)
    numbers = float in kinds_of(get_args(hint)[0])
    return [_item(name, part) if numbers else part for part in split_specs(text.strip("[]"))]


def _item(name: str, text: str) -> str | float:
    if text == "single":
        return text
    try:
        return float(text)
    except ValueError:
        option = name.replace("_", "-")
        raise InputError(f"option --{option}: {text!r} is not a number") from None
