"""``gatlabel evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatlabel.cli.options import Flag, add_options, flags_of, given_options, topic_help
from gatlabel.cli.output import show, show_json, show_table
from gatlabel.cli.parsing import Namespace, Parser, at_least_one, check_outputs, make_parser, parse
from gatlabel.cli.tables import label_table, metrics_table, task_metrics_table, task_table
from gatlabel.data.options import DataOptions
from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.files import write_json
from gatlabel.model.formats import has_tasks
from gatlabel.option_values import from_text
from gatlabel.options import differing, find, nested, updated
from gatlabel.training.config import TrainConfig

if TYPE_CHECKING:
    from gatlabel.decisions import Decision
    from gatlabel.deploy.exported_model import ExportedModel
    from gatlabel.model import MultiLabelClassifier


def evaluate_parser() -> Parser:
    """Creates the parser of the command."""
    flags = _flags()

    def help_on(topic: str | None) -> str:
        return basic if topic is None else topic_help(topic, flags)

    parser = make_parser(
        "evaluate",
        "Evaluates a trained run on its own data or on other data, or an exported bundle on other "
        "data. The options describe the other data.",
        help_on,
    )
    parser.add_argument(
        "run", type=Path, help="The run folder, or a bundle written by gatlabel export."
    )
    parser.add_argument(
        "--split", type=str | None, help="train, val or test; default: test, else val."
    )
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of a table.")
    parser.add_argument("--rows", type=int, default=100, help="Maximum number of table rows.")
    parser.add_argument("--output", type=Path | None, help="Also write the JSON to this file.")
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    basic = f"{parser.format_help()}\ngatlabel evaluate --help data lists options of other data."
    add_options(parser, flags)
    return parser


def evaluate_command(words: list[str]) -> None:
    """Evaluates a run on a split of its own data, or on other data; a bundle on other data."""
    options = parse(evaluate_parser(), words)
    at_least_one(options, "rows")
    check_outputs(options, "output")
    given = given_options(options, _flags())
    if has_tasks(options.run):
        _evaluate_tasks(options, given)
        return
    import torch

    from gatlabel.training.data import default_workers, read_data
    from gatlabel.training.deciding import with_decision
    from gatlabel.training.evaluation import evaluate

    device = choose_device(options.device)
    model, decision, config, own = _opened(options.run, options.device, given)
    config = updated(config, nested(given), from_text)
    other = own is None or _is_other(own, config.data)
    splits = dict(read_data(config, evaluate_only=other).items())
    available = [name for name, source in splits.items() if len(source)]
    split = options.split or ("test" if "test" in available else available[-1])
    if split not in available:
        raise InputError(f"the data has no split {split!r} with images: {', '.join(available)}")
    if isinstance(model, torch.nn.Module):
        model.to(device)
    result = evaluate(model, splits[split], split, workers=default_workers())
    result = with_decision(result, decision)
    content = {
        **{"run": str(options.run), "split": split, "decision": decision.to_dict()},
        **result.report.to_dict(),
    }
    if options.json:
        show_json(content)
    else:
        show_table(metrics_table([result], f"{options.run} on {split}"))
        show_table(label_table(result, options.rows))
        show(*result.report.protocol)
    if options.output is not None:  # last, so that the metrics are printed even if writing fails
        write_json(options.output, content)


def _evaluate_tasks(options: Namespace, given: dict[str, Any]) -> None:
    """Evaluates a run with several tasks on a split of its own data.

    Raises:
        InputError: If other data are given.
    """
    if given:
        name = next(iter(given))
        option = name.replace("_", "-")
        raise InputError(f"--{option}: a run with several tasks is evaluated on its own data only")
    from gatlabel.multitask.evaluation import final_results
    from gatlabel.multitask.saved_runs import evaluate_run

    results = evaluate_run(options.run, options.split, device=options.device)
    by_split = {
        split: {name: result.to_dict() for name, result in own.items()}
        for split, own in results.items()
    }
    content = {"run": str(options.run), "results": by_split}
    if options.json:
        show_json(content)
    else:
        show_table(task_table(results))
        for name, (split, result) in final_results(results).items():
            show_table(task_metrics_table(name, split, result))
    if options.output is not None:
        write_json(options.output, content)


def _opened(
    folder: Path, device: str, given: dict[str, Any]
) -> tuple[MultiLabelClassifier | ExportedModel, Decision, TrainConfig, DataOptions | None]:
    """Opens a run or a bundle.

    Returns:
        The model, its decision, its options, and the options of a run's own data.

    Raises:
        InputError: If it is neither, a file is damaged, or no data are given for a bundle.
    """
    from gatlabel.decisions import decision_of
    from gatlabel.deploy.description import FILE
    from gatlabel.deploy.exported_model import ExportedModel
    from gatlabel.training.finished_runs import open_run

    if not (folder / FILE).is_file():
        model, config = open_run(folder)
        return model, decision_of(folder, model.labels), config, config.data
    if not any(name.partition(".")[0] == "data" for name in given):
        raise InputError(
            f"{folder} is a bundle, which contains no data: name the data, for example --data "
            "csv --root photos"
        )
    bundle = ExportedModel.load(folder, device=device)
    return bundle, bundle.description.decision, TrainConfig(), None


def _flags() -> list[Flag]:
    """Returns the options of data sets."""
    return [flag for flag in flags_of(TrainConfig) if flag.path.partition(".")[0] == "data"]


def _is_other(own: DataOptions, given: DataOptions) -> bool:
    """Whether options name other data than the run's, not only another way to read them."""
    if type(own) is not type(given):
        return True
    return any(find(given, name).metadata.get("source") for name in differing(own, given))
