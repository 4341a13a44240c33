"""``gatlabel train``."""

from __future__ import annotations

from pathlib import Path

from gatlabel.cli.output import note, show, show_table
from gatlabel.cli.parsing import make_parser, parse
from gatlabel.cli.tables import result_table
from gatlabel.training.config import OPTIONS
from gatlabel.training.options import add_options, config_from, set_defaults

DESCRIPTION = (
    "Trains a model and leaves a run folder with weights, metrics and report.html. Without options "
    "it trains on the built-in scenes: no download, no GPU, a few minutes. Options come from the "
    "recipe, over it the --config file, over it the command line."
)


def train_command(words: list[str]) -> None:
    """Trains, or goes on with an interrupted run, and prints the figures."""
    parser = make_parser("train", DESCRIPTION)
    parser.add_argument("--config", type=Path | None, help="YAML file of options.")
    parser.add_argument(
        "--resume",
        type=Path | None,
        help="Run folder to go on with; of other options it takes those of the machine only.",
    )
    add_options(parser)
    first = _given(words, "--recipe"), _given(words, "--config")
    set_defaults(parser, first[0], Path(first[1]) if first[1] else None)
    options = parse(parser, words)
    if options.resume is not None:
        from gatlabel.training import RunFinishedError, resume

        names = [name for name in _given_names(words) if name != "resume"]
        # the config file is no option of the run: refused like one that is unknown to a resumed run
        machine = {name: options[name] for name in names if name in options}
        try:
            result = resume(options.resume, say=note, **machine)
        except RunFinishedError as finished:  # what was asked for is there
            show(finished)
            return
    else:
        config = config_from(options)
        from gatlabel.training import train

        result = train(config, say=note)
    show_table(result_table(result))
    show(*result.evaluations[-1].report.protocol, f"report: {result.folder / 'report.html'}")


def _given_names(words: list[str]) -> list[str]:
    """Returns the options that stand on the command line, as the config calls them."""
    names = [word[2:].partition("=")[0].replace("-", "_") for word in words if word[:2] == "--"]
    return [name.removeprefix("no_") if name not in OPTIONS else name for name in names]


def _given(words: list[str], flag: str) -> str | None:
    """Returns the value that a flag has on the command line, the last one if there are several."""
    value = None
    for position, word in enumerate(words):
        if word == flag and position + 1 < len(words):
            value = words[position + 1]
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value
