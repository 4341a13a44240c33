"""The options of optimisation: the optimiser, its learning rates and its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatlabel.options import Options, choice, option

_MANY = 10**6


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(Options):
    """A learning-rate schedule."""

    name: str = ""


@dataclass(frozen=True, kw_only=True)
class OneCycle(ScheduleOptions):
    """Increases to the largest rate and then decreases to 0 (Smith, 2018)."""

    name: Literal["onecycle"] = "onecycle"
    warmup: float = option(0.2, "Share of the steps in which the rate increases.", least=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Step(ScheduleOptions):
    """Decreases tenfold every few epochs."""

    name: Literal["step"] = "step"
    epochs: int = option(10, "Epochs between two decreases.", least=1, most=_MANY)


@dataclass(frozen=True, kw_only=True)
class Constant(ScheduleOptions):
    """Constant learning rate."""

    name: Literal["constant"] = "constant"


SCHEDULES: dict[str, type[ScheduleOptions]] = {
    "onecycle": OneCycle,
    "step": Step,
    "constant": Constant,
}


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions(Options):
    """The optimiser and its learning rates."""

    name: Literal["adamw", "sgd"] = option("adamw", "The optimiser.")
    lr: float | Literal["find"] | None = option(
        3e-3,
        "Largest learning rate of the head, or find. find chooses it by a ramp of rates before "
        "training; none leaves the choice to the recipe auto.",
        above=0, least=0, most=1e9, short="lr",
    )  # fmt: skip
    encoder_lr: float | None = option(
        None,
        "Factor on the learning rate for the encoder. None is 0.1, or 1 for scenes, which are "
        "unlike the images of ImageNet.",
        least=0, most=1e9,
    )  # fmt: skip
    depth_decay: float = option(
        1.0,
        "Learning rate of each quarter of the encoder's layers, relative to the next quarter; 1 is "
        "the same rate for all.",
        above=0, least=0, most=1,
    )  # fmt: skip
    weight_decay: float = option(
        0.01, "Weight decay of weights; biases and norms have none.", least=0, most=1e9
    )
    schedule: ScheduleOptions = choice(SCHEDULES, "onecycle", "Learning-rate schedule.")
    clip_gradient: float = option(
        1.0, "Maximum norm of the gradient; 0 clips nothing.", least=0, most=1e9
    )
    ema: float = option(
        0.99,
        "Decay of the moving average of the weights, which is evaluated; 0 for none.",
        least=0, below=1,
    )  # fmt: skip
