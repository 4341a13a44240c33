"""``gatlabel evaluate``."""

from __future__ import annotations

from pathlib import Path

from gatlabel.cli.options import Flag, add_options, flags_of, given_options, topic_help
from gatlabel.cli.output import show, show_json, show_table
from gatlabel.cli.parsing import Parser, check_outputs, make_parser, parse
from gatlabel.cli.tables import metrics_table
from gatlabel.data.options import DataOptions
from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.files import write_json
from gatlabel.option_values import from_text
from gatlabel.options import differing, find, nested, updated
from gatlabel.training.config import TrainConfig


def evaluate_parser() -> Parser:
    """Makes the parser of the command."""
    flags = _flags()

    def help_on(topic: str | None) -> str:
        return basic if topic is None else topic_help(topic, flags)

    parser = make_parser(
        "evaluate",
        "Evaluates a trained run, on its own data or on the data that the options describe.",
        help_on,
    )
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument(
        "--split", type=str | None, help="train, val or test; default: test, else val."
    )
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of a table.")
    parser.add_argument("--output", type=Path | None, help="Also write the JSON to this file.")
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    basic = f"{parser.format_help()}\ngatlabel evaluate --help data: the options of other data."
    add_options(parser, flags)
    return parser


def evaluate_command(words: list[str]) -> None:
    """Evaluates a run on a split of its own data, or on other data."""
    options = parse(evaluate_parser(), words)
    check_outputs(options, "output")
    from gatlabel.training.data import default_workers, read_data
    from gatlabel.training.evaluation import evaluate
    from gatlabel.training.finished_runs import open_run

    device = choose_device(options.device)
    model, config = open_run(options.run)
    own = config.data
    config = updated(config, nested(given_options(options, _flags())), from_text)
    splits = dict(read_data(config, evaluate_only=_is_other(own, config.data)).items())
    available = [name for name, source in splits.items() if len(source)]
    split = options.split or ("test" if "test" in available else available[-1])
    if split not in available:
        raise InputError(f"the data has no split {split!r} with images: {', '.join(available)}")
    result = evaluate(model.to(device), splits[split], split, workers=default_workers())
    content = {"run": str(options.run), "split": split, **result.report.to_dict()}
    if options.json:
        show_json(content)
    else:
        show_table(metrics_table([result], f"{options.run} on {split}"))
        show(*result.report.protocol)
    if options.output is not None:  # last: where it cannot be written, the figures were printed
        write_json(options.output, content)


def _flags() -> list[Flag]:
    """The options of data sets."""
    return [flag for flag in flags_of(TrainConfig) if flag.path.partition(".")[0] == "data"]


def _is_other(own: DataOptions, given: DataOptions) -> bool:
    """Whether options name other data than those of the run, not only another way to read them."""
    if type(own) is not type(given):
        return True
    return any(find(given, name).metadata.get("source") for name in differing(own, given))
