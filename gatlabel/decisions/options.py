"""The options of decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatlabel.decisions.aims import Aim
from gatlabel.options import Options, option


@dataclass(frozen=True, kw_only=True)
class DecisionOptions(Options):
    """How probabilities become label sets: calibration and thresholds."""

    aim: str = option(
        "macro-f1",
        "Aim of the thresholds: macro-f1, micro-f1, precision=0.9, recall=0.9, miss-rate=0.1 or "
        "fixed=0.5. miss-rate guarantees a bound on the share of an image's present labels that "
        "are missed (conformal risk control).",
    )
    per_label: bool | None = option(
        None,
        "A threshold for each label, or one for all. By default one for each label with macro-f1, "
        "precision and recall, otherwise one for all.",
    )
    calibrate: Literal["none", "temperature", "vector"] = option(
        "none", "Calibration before thresholds: one scale for all labels, or scale and bias each."
    )
    confidence: float | None = option(
        None,
        "Probability over draws of images with which the guarantee of miss-rate or precision "
        "holds. By default, the mean over draws is bounded.",
        above=0, least=0, below=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        Aim.parse(self.aim).check(self.per_label, self.confidence)
