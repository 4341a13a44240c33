"""The interface of all data sets: labelled images in named splits."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from numpy.typing import ArrayLike
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets


class ImageSource(ABC):
    """Images with targets; targets are available without decoding images.

    Attributes:
        labels: The L labels.
        ids: N unique names, one per image, as in the annotation file.
        targets: The known labels of N images and L labels.
        groups: The group of each image (its patient, place or video), or ``None``. Splits and folds
            made here keep groups together.
    """

    groups: tuple[str, ...] | None = None

    def __init__(
        self,
        labels: LabelSet,
        ids: Sequence[str],
        targets: Targets | ArrayLike,
        groups: Sequence[str] | None = None,
    ) -> None:
        targets = Targets.of(targets, labels)
        if len(ids) != len(targets):
            raise InputError(f"{len(ids)} image names for {len(targets)} rows of targets")
        self.labels = labels
        self.ids = tuple(ids)
        self.targets = targets
        if groups is not None:
            if len(groups) != len(targets):
                raise InputError(f"{len(groups)} groups for {len(targets)} rows of targets")
            self.groups = tuple(groups)

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def load(self, index: int) -> Tensor:
        """Returns one image: uint8 ``(3, height, width)``, RGB, 0 to 255.

        Raises:
            InputError: If the image cannot be decoded; the message names the file.
        """

    def load_at_least(self, index: int, side: int) -> Tensor:
        """Returns one image, possibly smaller than stored, if that is faster.

        Args:
            index: Position of the image.
            side: Neither side is reduced below this many pixels.

        Returns:
            uint8 ``(3, height, width)`` of (nearly) the same aspect ratio, as :meth:`load`.
        """
        return self.load(index)

    def with_targets(self, targets: Targets | ArrayLike) -> Self:
        """Returns the same images with other targets.

        Args:
            targets: ``(N, L)``, for the same labels.

        Raises:
            InputError: If the shape differs or a value is out of range.
        """
        targets = Targets.of(targets)
        if targets.shape != self.targets.shape:
            raise InputError(f"targets {targets.shape} instead of {self.targets.shape}")
        other = copy.copy(self)
        other.targets = targets
        return other

    def fingerprint(self) -> str:
        """Returns a text that changes whenever an image may have changed: the key of caches.

        Raises:
            InputError: If this kind of source does not support it.
        """
        raise InputError(
            f"{type(self).__name__} cannot detect changes of its images, so they cannot be cached "
            "on disk; use cache=memory or none, or implement fingerprint()"
        )

    @abstractmethod
    def subset(self, indices: Sequence[int]) -> ImageSource:
        """Returns the images at the given positions, in that order, as a source."""


@dataclass(frozen=True)
class DataSplits:
    """The splits of one data set.

    Attributes:
        name: Name of the data set in tables and reports.
        train: Training images; label counts are taken from these only.
        val: Images for model selection, and for the report if there is no test split.
        test: Images for the final report, or ``None``.
        notes: Sentences on the decisions of the reader (how difficult objects were read, which
            images were skipped, how a split was made), printed and stored in the run.
    """

    name: str
    train: ImageSource
    val: ImageSource
    test: ImageSource | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def labels(self) -> LabelSet:
        """The labels, the same in every split."""
        return self.train.labels

    def items(self) -> Iterator[tuple[str, ImageSource]]:
        """Yields ``(name, source)`` for every split."""
        yield "train", self.train
        yield "val", self.val
        if self.test is not None:
            yield "test", self.test
