"""The options of training: the recipe and the run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, option

_MANY = 10**6
#: Images per training step, unless the recipe auto chooses another number.
BATCH_SIZE = 32
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*")


def seconds_of(text: str) -> float:
    """Converts a duration such as ``10m``, ``90s``, ``1.5h`` or ``600`` to seconds.

    Raises:
        InputError: If it is not a duration above 0.
    """
    found = _TIME.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds < 1e9:
        raise InputError(f"time={text}: expected a time above 0, such as 10m, 90s or 1h")
    return seconds


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(Options):
    """The source of defaults and of the values of unset options."""

    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Auto(RecipeOptions):
    """Sets every unset option by the data, the time limit and the machine."""

    name: Literal["auto"] = "auto"
    preset: Literal["fast", "good", "best"] = option(
        "good",
        "fast (one pass over the images), good, or best.",
        short="preset", benchmark=False,
    )  # fmt: skip
    time: str | None = option(
        None,
        "Time limit of training, such as 10m, 90s or 1h; folds count. None is no limit beyond the "
        "preset. The first model always takes one pass over the images.",
        short="time", benchmark=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time is not None:
            seconds_of(self.time)


@dataclass(frozen=True, kw_only=True)
class Plain(RecipeOptions):
    """The package's own defaults."""

    name: Literal["plain"] = "plain"


@dataclass(frozen=True, kw_only=True)
class MLGCN(RecipeOptions):
    """The recipe of ML-GCN."""

    name: Literal["mlgcn"] = "mlgcn"


@dataclass(frozen=True, kw_only=True)
class ASLRecipe(RecipeOptions):
    """The recipe of the asymmetric loss."""

    name: Literal["asl"] = "asl"


RECIPES: dict[str, type[RecipeOptions]] = {
    "auto": Auto,
    "plain": Plain,
    "mlgcn": MLGCN,
    "asl": ASLRecipe,
}


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Duration, devices, safeguards and output of a run."""

    epochs: int | None = option(
        None,
        "Passes over the training images. None leaves the choice to the recipe (otherwise 12, or 4 "
        "for scenes); 0 keeps the closed-form initialisation.",
        least=0, most=_MANY, short="epochs", training=True,
    )  # fmt: skip
    batch_size: int | None = option(
        BATCH_SIZE,
        "Images per training step. None leaves the choice to the recipe auto.",
        least=1, most=_MANY, short="batch-size", training=True,
    )  # fmt: skip
    seed: int = option(0, "Seed of all random numbers.", least=0, most=2**32 - 1, short="seed")
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.", short="device", resume=True)
    devices: int | Literal["auto"] = option(
        1,
        "Number of devices that train together, one process each. auto uses all CUDA devices; "
        "batch_size is the size over all devices.",
        least=1, most=4096, short="devices", resume=True, benchmark=False,
    )  # fmt: skip
    workers: int | None = option(
        None,
        "Processes that load images; none: a number that suits the machine.",
        least=0, most=_MANY, short="workers", resume=True, benchmark=False,
    )  # fmt: skip
    amp: Literal["auto", "on", "off"] = option(
        "auto", "Mixed precision: auto (on CUDA), on or off.", training=True
    )
    compile: bool = option(
        False,
        "Compile the encoder (torch.compile), which takes time at the start. On CPUs it needs a "
        "C++ compiler and is not faster.",
        training=True,
    )
    on_nan: Literal["stop", "skip"] = option(
        "stop",
        "What to do with a batch whose loss or gradient is not finite: stop (the batch is saved in "
        "the run folder) or skip it.",
        resume=True,
    )
    patience: int = option(
        0,
        "Stop when validation mAP has not risen for this many epochs; 0 never stops.",
        least=0, most=_MANY, benchmark=False,
    )  # fmt: skip
    keep: Literal["last", "best", "proven", "unless-worse"] | None = option(
        "last",
        "Weights of the model: last, best, proven or unless-worse. best is by validation mAP. "
        "proven is the last, if they improve on the closed-form initialisation by more than the "
        "standard error, otherwise the initialisation. unless-worse is the last, unless they are "
        "worse by more than it. None leaves the choice to the recipe auto.",
        short="keep", benchmark=False,
    )  # fmt: skip
    refit: bool | None = option(
        False,
        "After training, replace the classifiers by ridge regression on the features of the "
        "trained encoder. None leaves the choice to the recipe auto.",
        benchmark=False,
    )
    folds: int | None = option(
        None,
        "Number of folds of cross-validation, trained in addition. The out-of-fold predictions are "
        "written to out_of_fold.npz and used by keep=proven and unless-worse. The final model is "
        "the one that was trained on all training images.",
        least=2, most=1000, short="folds", benchmark=False,
    )  # fmt: skip
    compare: Literal["auto", "yes", "no"] = option(
        "auto",
        "Also train a linear head in the same way, for comparison: auto (for scenes), yes or no.",
        benchmark=False,
    )
    output: Path | None = option(
        None, "Run folder; none creates one below runs/.",
        short="output", moves=True, benchmark=False,
        absolute=False,  # where a new run is written: that of a config file need not be the same
    )  # fmt: skip
    overwrite: bool = option(
        False, "Replace the run in an existing run folder.",
        short="overwrite", moves=True, benchmark=False,
    )  # fmt: skip
    tensorboard: bool = option(
        False, "Also write TensorBoard logs (extra tensorboard).", resume=True, benchmark=False
    )
    progress: bool = option(
        True, "Show a progress bar.", short="progress", resume=True, benchmark=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overwrite and self.output is None:
            raise InputError("overwrite=True: only if output is given")

    @property
    def images_per_step(self) -> int:
        """Images per training step; the default as long as the recipe has not chosen."""
        return self.batch_size or BATCH_SIZE
