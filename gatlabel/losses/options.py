"""The options of losses: what their constructors take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatlabel.options import Options, option


@dataclass(frozen=True, kw_only=True)
class LossOptions(Options):
    """A loss; which options there are depends on its kind."""

    name: str = ""


@dataclass(frozen=True, kw_only=True)
class BCE(LossOptions):
    """Binary cross-entropy."""

    name: Literal["bce"] = "bce"


@dataclass(frozen=True, kw_only=True)
class Focal(LossOptions):
    """The focal loss (Lin et al., 2017)."""

    name: Literal["focal"] = "focal"
    gamma: float = option(2.0, "Focusing exponent.", least=0, most=1000)


@dataclass(frozen=True, kw_only=True)
class ASL(LossOptions):
    """The asymmetric loss (Ridnik et al., 2021)."""

    name: Literal["asl"] = "asl"
    gamma_negative: float = option(4.0, "Focusing exponent of negatives.", least=0, most=1000)
    gamma_positive: float = option(0.0, "Focusing exponent of positives.", least=0, most=1000)
    clip: float = option(0.05, "Probability by which negatives are shifted.", least=0, below=1)


LOSSES: dict[str, type[LossOptions]] = {"bce": BCE, "focal": Focal, "asl": ASL}
