"""Tiny images and annotation files that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gatlabel.data.source import ImageSource
from gatlabel.labels import LabelSet


def save_image(path: Path, colour: tuple[int, int, int] = (200, 30, 60), size: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size + 8, size), colour).save(path)


def write_csv(root: Path, text: str, images: bool = True) -> Path:
    """Writes labels.csv and, for every first cell, an image."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / "labels.csv"
    file.write_text(text, encoding="utf-8")
    if images:
        for position, line in enumerate(text.splitlines()[1:]):
            save_image(root / line.split(",")[0], (20 * position % 256, 30, 60))
    return file


def mosaic(height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): every pixel differs from its mirror images."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 200 // width, y * 200 // height, 0 * x + 50], axis=-1).astype(np.uint8)


class DrawnImages(ImageSource):
    """Noise images determined by their id, with a list of the loaded ones."""

    def __init__(self, targets: np.ndarray, ids: Sequence[str] | None = None) -> None:
        labels = LabelSet([f"label {k}" for k in range(targets.shape[1])])
        super().__init__(labels, ids or [str(k) for k in range(len(targets))], targets)
        self.asked: list[int] = []

    def load(self, index: int) -> Tensor:
        self.asked.append(index)
        number = int(self.ids[index])
        generator = torch.Generator().manual_seed(number)
        return torch.randint(256, (3, 20 + number % 5, 30), generator=generator, dtype=torch.uint8)

    def subset(self, indices: Sequence[int]) -> DrawnImages:
        rows = list(indices)
        return DrawnImages(self.targets.take(rows), [self.ids[row] for row in rows])
