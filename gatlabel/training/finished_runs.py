"""A run that is over, for whoever uses its folder, which anyone may have made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.run_folder import RunFolder


def open_run(folder: Path) -> tuple[MultiLabelClassifier, TrainConfig]:
    """Loads the model of a run, and its options, to read its data set again and no more.

    What would write or download is off, whatever the file says: it takes an option of whoever
    uses the run.

    Args:
        folder: The run folder.

    Raises:
        InputError: If this is no run folder, a file is missing or damaged, or the options are not
            of the run that made the model.
    """
    run = RunFolder(folder)
    config = run.read_config()
    model = MultiLabelClassifier.from_pretrained(folder)
    has = {
        "head": model.head.kind,
        "backbone": model.encoder.name,
        "stride": model.encoder.stride,
        "stages": model.encoder.stages,
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
    return model, dataclasses.replace(config, download=False)
