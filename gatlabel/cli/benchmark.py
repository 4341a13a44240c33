"""``gatlabel benchmark graphs | heads | summary``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from gatlabel.cli.output import note, show_block
from gatlabel.cli.parsing import make_parser, parse
from gatlabel.cli.summary import show_result, summary_command
from gatlabel.errors import InputError, Interrupted, unknown_choice
from gatlabel.graph.spec import split_specs
from gatlabel.interruptions import Stopped

if TYPE_CHECKING:
    from gatlabel.training.config import TrainConfig

USAGE = """\
usage: gatlabel benchmark COMMAND [options]

  graphs     compare label graphs under one head: does the graph help, and which one?
  heads      compare heads on one label graph
  summary    put finished benchmarks of several data sets into one report

graphs and heads tune every method alike, bring controls (no edges, random edges, permuted
labels, the edges ablated at test) and say what is more than chance. Run again to go on after an
interruption. Each takes one data set:

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
}
#: Options of training that mean nothing here, or that the benchmark decides.
LEFT_OUT = (
    *("recipe", "preset", "time", "start", "similarity", "folds"),
    *("head", "heads", "graph", "output", "overwrite", "progress", "workers"),
    *("tensorboard", "cache", "cache_folder", "keep", "patience", "compare"),
    *("hide_labels", "unknown"),  # options of the benchmark itself
    "init",
)
#: What a file of training options may say that the benchmark takes from options of its own.
INSTEAD = {
    "head": "--heads",
    "graph": "--graphs",
    "hide_labels": "--hide-labels",
    "unknown": "--unknown",
}
LISTS = ("graphs", "heads", "train_fractions", "hide_labels", "unknown")


def benchmark_command(words: list[str]) -> None:
    """Runs one of the two benchmarks, or their summary, and prints what it found."""
    if not words or words[0] in ("-h", "--help"):
        show_block(USAGE)
        if words:
            raise SystemExit(0)
        return
    if words[0] == "summary":
        return summary_command(words[1:])
    if words[0] not in DESCRIPTIONS:
        raise unknown_choice("benchmark", words[0], [*DESCRIPTIONS, "summary"])
    kind: Literal["graphs", "heads"] = "heads" if words[0] == "heads" else "graphs"
    from gatlabel.experiments import make_config, run_benchmark

    parser = _parser(kind)
    options = parse(parser, words[1:])
    config = make_config(kind, **_given(options))

    for line in _passed_over(config.train):
        note(line)
    try:
        result = run_benchmark(config, say=note)
    except Stopped as stop:
        line = f"{stop}; what is finished is kept, the same command goes on with the rest"
        raise Interrupted(line, stop.exit_code) from None
    show_result(result, config.folder)


def _parser(kind: str) -> ArgumentParser:
    from gatlabel.experiments import BenchmarkConfig
    from gatlabel.training.config import TrainConfig
    from gatlabel.training.options import flag, option_texts

    parser = make_parser(f"benchmark {kind}", DESCRIPTIONS[kind])
    own, texts = get_type_hints(BenchmarkConfig), option_texts(BenchmarkConfig)
    group: Any = parser.add_argument_group("benchmark")
    for field in dataclasses.fields(BenchmarkConfig):
        if field.name in ("kind", "train"):
            continue
        # lists are words with commas between; None: not given, so that defaults stand in one place
        hint = str if field.name in LISTS else own[field.name]
        group.add_argument(flag(field.name), type=hint | None, help=texts[field.name])
    group = parser.add_argument_group("data, encoder, heads and end-to-end training, as of train")
    group.add_argument("--config", type=Path | None, help="YAML file of options of train.")
    theirs, texts = get_type_hints(TrainConfig), option_texts()
    for field in dataclasses.fields(TrainConfig):
        if field.name not in (*LEFT_OUT, *own):
            hint = theirs[field.name] | None
            group.add_argument(flag(field.name), type=hint, help=texts.get(field.name))
    return parser


def _given(options: Namespace) -> dict[str, Any]:
    """Returns the options that were given, lists split, over those of the config file."""
    from gatlabel.training.options import read_config

    given = {name: value for name, value in options.as_dict().items() if value is not None}
    path = given.pop("config", None)
    for name in LISTS:
        if name in given:
            text = given[name].strip("[]")
            parts = split_specs(text) if name == "graphs" else text.split(",")
            given[name] = [_item(name, part) for part in parts]
    if path is not None:
        given["train"] = read_config(path)
    return given


def _passed_over(train: TrainConfig) -> list[str]:
    """Says which options of the config file the benchmark takes from elsewhere."""
    usual = type(train)()
    return [
        f"{name}={getattr(train, name)} of the config file is not used here: give {option}"
        for name, option in INSTEAD.items()
        if getattr(train, name) != getattr(usual, name)
    ]


def _item(name: str, text: str) -> str | float:
    text = text.strip()
    if name not in ("train_fractions", "hide_labels") or text == "single":
        return text
    try:
        return float(text)
    except ValueError:
        option = name.replace("_", "-")
        raise InputError(f"option --{option}: {text!r} is no number") from None
