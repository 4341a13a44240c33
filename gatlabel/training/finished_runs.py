"""The options of a run that is over, for whoever uses its folder, which anyone may have made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.run_folder import RunFolder


def options_of_run(folder: Path, model: MultiLabelClassifier) -> TrainConfig:
    """Reads the options of a run, to read its data set again and no more.

    What would write or download is off, whatever the file says: it takes an option of whoever
    evaluates the run.

    Args:
        folder: The run folder.
        model: The model that was loaded from it.

    Raises:
        InputError: If there are no options, or they are not of the run that made the model.
    """
    run = RunFolder(folder)
    config = run.read_config()
    has = {
        "head": model.head.kind,
        "backbone": model.encoder.name,
        "stride": model.encoder.stride,
        "resize": model.resize,
        "image_size": model.image_size,
    }
    for name, value in has.items():
        said = getattr(config, name)
        left_open = said is None or (name, said) == ("backbone", "auto")
        if not left_open and said != value:
            raise InputError(
                f"{run.config} says {name}={said}, but the model in {folder} has {value}: they "
                "are of two runs"
            )
    return dataclasses.replace(config, download=False)
