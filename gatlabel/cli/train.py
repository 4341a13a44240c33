"""``gatlabel train``."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

from gatlabel.cli.options import (
    Flag,
    add_options,
    flags_of,
    given_options,
    short_help,
    topic_help,
)
from gatlabel.cli.output import show, show_block, show_table
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.cli.tables import result_table
from gatlabel.cli.train_tasks import (
    ONLY_TASKS,
    has_tasks,
    refuse_alone,
    resume_several,
    train_several,
)
from gatlabel.logs import log
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.option_values import from_text
from gatlabel.options import nested, updated
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.recipes import read_config, recipe_in, recipe_named

DESCRIPTION = (
    "Trains a model and writes a run folder with weights, metrics and report.html. Without options "
    "it trains on the built-in scenes: no download, no GPU, a few minutes. The command line "
    "overrides --config, which overrides the recipe."
)
OTHERS = {
    "--task": "One of several tasks: NAME=KIND:COLUMN",
    "--config": "YAML file of options",
    "--print-config": "Print all options as YAML and exit",
    "--resume": "Run folder to continue, with its own options",
}


def train_flags() -> list[Flag]:
    """Lists the options of runs with one task and with several."""
    only = [flag for flag in flags_of(MultiTaskConfig) if flag.path.partition(".")[0] in ONLY_TASKS]
    # options of a shared head have the names of those of a head
    return [*flags_of(TrainConfig), *(flag._replace(has_short=False) for flag in only)]


def train_parser() -> Parser:
    """Creates the parser of the command."""
    flags = train_flags()

    def help_on(topic: str | None) -> str:
        if topic is None or topic.startswith("-"):
            return short_help("gatlabel train [options]", DESCRIPTION, flags, OTHERS)
        return topic_help(topic, flags)

    parser = make_parser("train", DESCRIPTION, help_on)
    parser.add_argument("--config", type=Path | None, help="YAML file of options.")
    parser.add_argument("--print-config", type=bool, default=False, help="Print all options.")
    parser.add_argument(
        "--resume",
        type=Path | None,
        help="Run folder to continue; only options of the machine can be given with it.",
    )
    parser.add_argument(
        "--task",
        action="append",
        help="A task: NAME=labels|class|number|sequence:COLUMN of --data csv; labels and sequence "
        "without a column take the labels of any data set.",
    )
    add_options(parser, flags)
    return parser


def train_command(words: list[str]) -> None:
    """Trains, or resumes an interrupted run, and prints the metrics."""
    options = parse(train_parser(), words)
    named = given_options(options, train_flags())
    if options.resume is not None:
        given = {"task": options.task, **named} if options.task else named
        _resume(options.resume, given, options.config)
        return
    if has_tasks(options.task, options.config):
        only_print = options.print_config
        train_several(options.task, named, options.config, only_print=only_print)
        return
    refuse_alone(named)
    config = _config(named, options.config)
    if options.print_config:
        show_block(config.to_yaml())
        return
    from gatlabel.training.run import train

    _show(train(config, log=log))


def _config(named: dict[str, Any], path: Path | None) -> TrainConfig:
    """Returns the options: the command line overrides the file, which overrides the recipe."""
    words = nested(named)
    recipe = recipe_in(words) if "recipe" in named else None
    base = recipe_named(recipe or recipe_in({})) if path is None else read_config(path, recipe)
    config: TrainConfig = updated(base, words, from_text)
    return config


def _resume(folder: Path, named: dict[str, Any], config: Path | None) -> None:
    path = folder / "config.yaml"
    if path.is_file() and "tasks" in read_options(path):
        resume_several(folder, named, config)
        return
    from gatlabel.training.changes import machine_options
    from gatlabel.training.run import resume
    from gatlabel.training.run_folder import RunFinishedError

    # --config is refused like any other option that a resumed run does not accept
    machine_options(named if config is None else {"config": config, **named})
    given = updated(TrainConfig(), nested(named), from_text)
    try:
        result = resume(folder, {n: operator.attrgetter(n)(given) for n in named}, log=log)
    except RunFinishedError as finished:  # not an error
        show(finished)
        return
    _show(result)


def _show(result: Any) -> None:
    show_table(result_table(result))
    show(*result.evaluations[-1].report.protocol, f"report: {result.folder / 'report.html'}")
