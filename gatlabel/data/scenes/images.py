"""Scenes as a source of labelled images, drawn on first access and never written to disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.data.scenes.config import SceneConfig
from gatlabel.data.scenes.drawing import Pixels, draw_scene
from gatlabel.data.scenes.ising import BLOCK
from gatlabel.data.scenes.label_models import label_model
from gatlabel.data.scenes.layout import Shape, plan_scene
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError, unknown_choice
from gatlabel.labels import LabelSet

SPLITS = {"train": 0, "val": 1, "test": 2, "pretrain": 3}
"""Splits and the numbers that separate their random streams; ``pretrain`` is for pretraining
encoders on images that no other split has."""
_LABELS, _HIDING, _IMAGES = 0, 1, 2  # purposes of random streams
KEPT = 1 << 28  # bytes of drawn images that a split keeps in memory


class SceneImages(ImageSource):
    """Drawn images of one split.

    Image ``k`` of a split depends on ``config``, ``seed``, ``split`` and ``k`` only, not on the
    number of images or on the order or process in which they are drawn. Drawn images stay in
    memory, up to 256 MiB; subsets share them, other processes draw their own.

    Args:
        config: The configuration of scenes.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"pretrain"``.
        count: Number of images N.
        seed: Seed of the set.

    Attributes:
        config: The configuration.
        split: The split.
        seed: The seed.
        visible: bool ``(N, L)``: labels that are present and drawn clearly; present labels that
            are not visible are hidden.

    Raises:
        InputError: If the split is unknown, or count or seed is out of range.
    """

    def __init__(self, config: SceneConfig, split: str, count: int, *, seed: int = 0) -> None:
        if split not in SPLITS:
            raise unknown_choice("split of scenes", split, SPLITS)
        if count < 1:
            raise InputError(f"scenes: {split} is {count} images: give at least 1")
        if not 0 <= seed < 2**32:
            raise InputError(f"scenes: seed is {seed}: give a whole number from 0 to 2^32 - 1")
        model = label_model(config)
        stream = (seed, SPLITS[split])
        present = model.sample(count, (*stream, _LABELS)).astype(bool)
        visible = present & ~_hidden(config, count, len(model.names), (*stream, _HIDING))
        self._drawn = _Drawn()
        self._set(config, split, seed, model.names, np.arange(count), present, visible)

    def _set(
        self,
        config: SceneConfig,
        split: str,
        seed: int,
        names: tuple[str, ...],
        indices: NDArray[np.int64],
        present: NDArray[np.bool_],
        visible: NDArray[np.bool_],
    ) -> None:
        ids = [f"{split}-{k:06d}" for k in indices.tolist()]
        super().__init__(LabelSet(names), ids, present.astype(np.float32))
        self.config = config
        self.split = split
        self.seed = seed
        self.visible = visible
        self._present = present  # the labels drawn, also if the targets are replaced
        self._indices = indices

    def __repr__(self) -> str:
        return (
            f"SceneImages({self.split}: {len(self)} images of {self.config.size} px, "
            f"{len(self.labels)} labels, {self.config.statistics} statistics, seed {self.seed})"
        )

    def _rng(self, index: int) -> np.random.Generator:
        key = [self.seed, SPLITS[self.split], _IMAGES, int(self._indices[index])]
        return np.random.default_rng(key)

    def _plan(self, index: int, rng: np.random.Generator) -> list[Shape]:
        visible = self.visible[index]
        hidden = self._present[index] & ~visible
        return plan_scene(self.config, np.flatnonzero(visible).tolist(),
                          np.flatnonzero(hidden).tolist(), len(self.labels), rng)  # fmt: skip

    def shapes(self, index: int) -> list[Shape]:
        """Returns the shapes of an image with their positions, including hidden objects."""
        return self._plan(index, self._rng(index))

    def load(self, index: int) -> Tensor:
        """Returns one image, drawn on first access: uint8 ``(3, size, size)``, RGB, 0 to 255."""
        number = int(self._indices[index])
        pixels = self._drawn.get(number)
        if pixels is None:
            rng = self._rng(index)
            shapes = self._plan(index, rng)
            pixels = draw_scene(self.config, self.labels.names, shapes, rng)
            if (len(self._drawn) + 1) * pixels.nbytes <= KEPT:
                self._drawn[number] = pixels
        # a copy, so that callers may change it
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        return image.clone(memory_format=torch.contiguous_format)

    def fingerprint(self) -> str:
        """Returns a hash of everything that determines the images, with the drawing version."""
        from gatlabel import __version__

        drawn = [__version__, repr(self.config), self.split, self.seed, self._indices.tolist()]
        return hashlib.sha256(repr(drawn).encode()).hexdigest()

    def subset(self, indices: Sequence[int]) -> SceneImages:
        """Returns the images at the given positions, in that order."""
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        part = object.__new__(SceneImages)
        part._drawn = self._drawn
        part._set(self.config, self.split, self.seed, self.labels.names, self._indices[rows],
                  self._present[rows], self.visible[rows])  # fmt: skip
        part.targets = self.targets.take(rows)
        return part


class _Drawn(dict[int, Pixels]):
    """Drawn images by number, which copies of a source share and pickles leave out."""

    def __reduce__(self) -> tuple[type[_Drawn], tuple[()]]:
        return _Drawn, ()


def _hidden(
    config: SceneConfig, count: int, labels: int, stream: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Returns which labels an image would hide if they were present: bool ``(count, labels)``."""
    blocks = [
        np.random.default_rng([*stream, block]).random((BLOCK, labels)) < config.hidden
        for block in range(-(-count // BLOCK))
    ]
    return np.concatenate(blocks)[:count]
