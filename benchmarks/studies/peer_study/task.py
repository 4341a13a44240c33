"""What a method gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peer_study.sets import StudySet

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """One cell, ready to be run.

    Attributes:
        data: The set.
        train: Positions of the training images.
        val: Positions of the validation images.
        size: Side of the images in pixels, 0 for a method that chooses it.
        seconds: The whole budget: a pass of the encoder and the seconds of the cell.
        seed: Of everything at random.
        folder: For files of the run; removed afterwards.
        passes: Folder of the features that were extracted once.
        shared: Folder with the label vectors that ML-GCN takes.
    """

    data: StudySet
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    size: int
    seconds: float
    seed: int
    folder: Path
    passes: Path
    shared: Path

    def files(self, which: NDArray[np.int64]) -> list[Path]:
        """Returns the paths of images."""
        return [self.data.root / self.data.names[k] for k in which]

    def rows(self) -> list[list[str]]:
        """Returns image, split and labels of training and validation images, as a table."""
        rows = []
        for split, which in (("train", self.train), ("val", self.val)):
            for k in which:
                found = [self.data.labels[i] for i in np.flatnonzero(self.data.present[k])]
                rows.append([self.data.names[k], split, "|".join(found)])
        return rows


@dataclass(frozen=True)
class Fitted:
    """A method that has learned.

    Attributes:
        predict: Returns the scores of the test images ``(N, L)``.
        notes: What to keep: epochs, penalties, resolution.
        fit_charge: Seconds to add to those measured, for features that were shared.
        test_charge: The same for the evaluation.
        finished: Whether a larger budget would change nothing.
    """

    predict: Callable[[], Scores]
    notes: dict[str, Any] = field(default_factory=dict)
    fit_charge: float = 0.0
    test_charge: float = 0.0
    finished: bool = False
