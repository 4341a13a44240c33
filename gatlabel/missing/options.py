"""The options of unknown and corrupted training labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatlabel.options import Options, option


@dataclass(frozen=True, kw_only=True)
class MissingOptions(Options):
    """Unknown and wrong training labels."""

    unknown: Literal["ignore", "negative", "prior", "complete"] = option(
        "ignore",
        "Treatment of unknown training labels. complete infers them from image and label graph.",
        benchmark=False,
    )
    similarity_weight: float | None = option(
        None,
        "complete: weight of similar labels in an inferred label. The default, none, is 0.5 on a "
        "graph of similarity, otherwise 0.",
        least=0, below=1,
    )  # fmt: skip
    label_noise: float = option(
        0.0,
        "Share of each label's training positives swapped with negatives, for studies.",
        least=0, below=1,
    )  # fmt: skip
    mask_labels: float | Literal["single"] = option(
        0.0,
        "Share of the known training labels to mask, or single, for studies. single keeps one "
        "present label per image.",
        least=0, below=1, benchmark=False,
    )  # fmt: skip
