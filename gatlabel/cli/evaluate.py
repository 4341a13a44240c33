"""``gatlabel evaluate``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from gatlabel.cli.output import show, show_json, show_table
from gatlabel.cli.parsing import check_outputs, make_parser, parse
from gatlabel.cli.tables import metrics_table
from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.files import write_json

#: Options beside those of data that are about what is trained on.
OF_TRAINING = ("scene_preset", "label_noise", "hide_labels", "train_pictures", "test_pictures")


def evaluate_command(words: list[str]) -> None:
    """Evaluates a run on a split of its own data, or on other data."""
    from gatlabel.training.config import TrainConfig
    from gatlabel.training.options import flag, option_texts

    parser = make_parser(
        "evaluate",
        "Evaluates a trained run, on its own data or on the data that the options describe.",
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
    texts = option_texts()
    types = get_type_hints(TrainConfig)
    fields = [field.name for field in dataclasses.fields(TrainConfig)]
    described = fields[fields.index("root") : fields.index("backbone")]
    data_options = [name for name in described if name not in OF_TRAINING]
    for name in ("data", *data_options):
        parser.add_argument(flag(name), type=types[name] | None, help=texts[name])
    options = parse(parser, words)
    check_outputs(options, "output")
    from gatlabel.training.data import SET_OPTIONS, default_workers, read_data
    from gatlabel.training.evaluation import evaluate
    from gatlabel.training.finished_runs import open_run

    device = choose_device(options.device)
    given = {n: options[n] for n in ("data", *data_options) if options[n] is not None}
    model, config = open_run(options.run)
    names = ("data", "root", "annotations", "year", "split_column", *SET_OPTIONS)
    other_data = any(n in given and given[n] != getattr(config, n) for n in names)
    if options.data is not None and options.data != config.data:
        defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(TrainConfig)}
        options_of_data = {**{n: defaults[n] for n in data_options}, **given}
        config = dataclasses.replace(config, **options_of_data)
    else:
        config = dataclasses.replace(config, **given)
    splits = dict(read_data(config, evaluate_only=other_data).items())
    available = [name for name, source in splits.items() if len(source)]
    split = options.split or ("test" if "test" in available else available[-1])
    if split not in available:
        raise InputError(f"the data has no split {split!r} with pictures: {', '.join(available)}")
    result = evaluate(model.to(device), splits[split], split, workers=default_workers())
    content = {"run": str(options.run), "split": split, **result.report.to_dict()}
    if options.json:
        show_json(content)
    else:
        show_table(metrics_table([result], f"{options.run} on {split}"))
        show(*result.report.protocol)
    if options.output is not None:  # last: where it cannot be written, the figures were printed
        write_json(options.output, content)
