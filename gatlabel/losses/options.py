"""The options of losses: constructor arguments, and changes to the targets in a run.

Losses without a class here take their options from the signature of the constructor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, absolute_place, option
from gatlabel.signatures import derived


@dataclass(frozen=True, kw_only=True)
class LossOptions(Options):
    """A loss; its kind determines the other options."""

    name: str = ""
    label_smoothing: float = option(
        0.0,
        "Share of 1/2 that is mixed into the training targets.",
        least=0, below=1, argument=False,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EntryLossOptions(LossOptions):
    """A loss with one value per image and label."""

    label_weights: Path | None = option(
        None,
        "File with the weight of each label in the loss: CSV with the columns name, weight, or "
        "JSON, an object of weights by name.",
        argument=False, moves=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BCE(EntryLossOptions):
    """Binary cross-entropy."""

    name: Literal["bce"] = "bce"
    pos_weight: float | str | None = option(
        None,
        "Weight of present labels: a number, balanced, or a file. balanced is the ratio of "
        "negatives to positives of each label in the training set; a file is as for label_weights.",
        short="pos-weight", above=0, least=0, most=1e6, argument=False,
        absolute=partial(absolute_place, words=("balanced",)),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Focal(EntryLossOptions):
    """The focal loss (Lin et al., 2017)."""

    name: Literal["focal"] = "focal"
    gamma: float = option(2.0, "Focusing exponent.", least=0, most=1000)


@dataclass(frozen=True, kw_only=True)
class ASL(EntryLossOptions):
    """The asymmetric loss (Ridnik et al., 2021)."""

    name: Literal["asl"] = "asl"
    gamma_negative: float = option(4.0, "Focusing exponent of negatives.", least=0, most=1000)
    gamma_positive: float = option(0.0, "Focusing exponent of positives.", least=0, most=1000)
    clip: float = option(0.05, "Probability by which negatives are shifted.", least=0, below=1)


@dataclass(frozen=True, kw_only=True)
class CE(EntryLossOptions):
    """The cross-entropy of the seed document."""

    name: Literal["ce"] = "ce"
    form: Literal["well_posed", "printed"] = option(
        "well_posed", "well_posed, or printed: no loss, its minimum has no label present."
    )


@dataclass(frozen=True, kw_only=True)
class SNLL(EntryLossOptions):
    """The soft negative log-likelihood of the seed document."""

    name: Literal["snll"] = "snll"
    form: Literal["well_posed", "printed"] = option(
        "well_posed", "well_posed, or printed: no loss, its minimum has no label present."
    )


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(Options):
    """Knowledge distillation: training also learns from the probabilities of another model."""

    teacher: Path | None = option(
        None,
        "Run or model whose probabilities are mixed into the targets.",
        short="teacher", moves=True,
    )  # fmt: skip
    weight: float = option(0.5, "Share of the teacher in a known target.", least=0, most=1)
    temperature: float = option(
        1.0, "Temperature: the teacher's logits are divided by it.", above=0, least=0, most=1000
    )
    unknown: bool = option(
        False, "Unknown labels take the teacher's probability, instead of staying unknown."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher is None:
            for name in ("weight", "temperature", "unknown"):
                if getattr(self, name) != getattr(type(self), name):
                    raise InputError(f"{name}={getattr(self, name)}: only with a teacher")


LOSSES: dict[str, type[LossOptions]] = derived(
    "gatlabel.losses.table",
    "LOSSES",
    written={"bce": BCE, "focal": Focal, "asl": ASL, "ce": CE, "snll": SNLL},
    bases={"EntryLoss": EntryLossOptions},
    base=LossOptions,
)
