"""The options of unknown and corrupted training labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatlabel.options import Options, option


@dataclass(frozen=True, kw_only=True)
class MissingOptions(Options):
    """Unknown and wrong training labels."""

    unknown: Literal["ignore", "negative", "prior", "complete", "pseudo"] = option(
        "ignore",
        "Treatment of unknown training labels. complete infers them from image and label graph, "
        "pseudo from the ranks of the model's logits.",
        benchmark=False,
    )
    similarity_weight: float | None = option(
        None,
        "complete: weight of similar labels in an inferred label. By default 0.5 on a graph of "
        "similarity, otherwise 0.",
        least=0, below=1,
    )  # fmt: skip
    pseudo_by_graph: bool = option(
        False, "pseudo: rank by image and label graph together.", benchmark=False
    )
    unlabelled: Path | None = option(
        None,
        "Folder of further training images without labels. For unknown=complete and pseudo; images "
        "of the data set that are in it are left out.",
        benchmark=False, source=True, moves=True, short="unlabelled",
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
