"""Loading of finished runs; their files are untrusted."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatlabel.baselines.classical.options import ClassicalOptions
from gatlabel.data.options import DATA
from gatlabel.errors import InputError, unknown_choice
from gatlabel.model import MultiLabelClassifier
from gatlabel.model.formats import has_tasks
from gatlabel.option_values import from_yaml
from gatlabel.options import updated
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.recipes import config_from
from gatlabel.training.run_folder import RunFolder


def open_run(folder: Path) -> tuple[MultiLabelClassifier, TrainConfig]:
    """Loads the model of a run, and its options for reading its data set again.

    Options that write or download files are turned off, as the file is untrusted.

    Args:
        folder: The run folder.

    Raises:
        InputError: If this is not a run folder, a file is missing or damaged, or options and model
            are of different runs.
    """
    if has_tasks(folder):
        raise InputError(
            f"{folder} is a run with several tasks: predict, evaluate, decide, export and explain "
            "take it, the others a run with one multi-label task"
        )
    run = RunFolder(folder)
    run.require_config()
    try:
        config = _config(read_options(run.config))
    except InputError as error:
        raise InputError(f"{run.config}: {error}") from error
    model = MultiLabelClassifier.from_pretrained(folder)
    # the result of many classical methods is a linear classifier, and saved as one
    fitted = isinstance(config.head, ClassicalOptions) and model.head.kind == "linear"
    has = {
        "head.name": config.head.name if fitted else model.head.kind,
        "encoder.backbone": model.encoder.name,
        "encoder.stride": model.encoder.stride,
        "encoder.stages": model.encoder.stages,
        "images.resize": model.resize,
        "images.size": model.image_size,
    }
    for name, value in has.items():
        given = operator.attrgetter(name)(config)
        left_open = given is None or (name, given) == ("encoder.backbone", "auto")
        if not left_open and given != value:
            option = name.removesuffix(".name")
            raise InputError(
                f"{run.config} has {option}={given}, but the model in {folder} has {value}: they "
                "belong to different runs"
            )
    if getattr(config.data, "download", False):
        config = config.with_options({"data.download": False})
    return model, config


def _config(options: Mapping[str, Any]) -> TrainConfig:
    """Returns the options of a run; of old run folders without groups, only those needed here."""
    if "encoder" in options:
        return config_from(options)
    kind = options.get("data", "scenes")
    if not isinstance(kind, str) or kind not in DATA:
        raise unknown_choice("data", str(kind), DATA)
    old = dict(options)
    if kind == "scenes":
        data = {n.removeprefix("scene_"): v for n, v in old.items() if n.startswith("scene_")}
        data |= {f"{n}_images": old.get(f"{n}_images", 1) for n in ("train", "test")}
        data.setdefault("preset", old.get("preset"))  # now the name of an option of the recipe auto
    else:
        data = dict(old)
        if kind == "json" and data.get("train_set") is None:
            data["train_set"] = data.get("annotations")
    known = DATA[kind].__dataclass_fields__
    given: dict[str, Any] = {
        "data": {"name": kind, **{n: v for n, v in data.items() if n in known and n != "name"}}
    }
    for group, names in {
        "encoder": {"backbone": "backbone", "stride": "stride", "stages": "stages"},
        "images": {"image_size": "size", "resize": "resize"},
        "head": {"head": "name"},
        "run": {"seed": "seed"},
    }.items():
        given[group] = {new: old[name] for name, new in names.items() if name in old}
    found: TrainConfig = updated(TrainConfig(), given, from_yaml)
    return found
