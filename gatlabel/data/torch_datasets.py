"""Map-style torch data sets of images and targets as sources."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gatlabel.data.source import DataSplits, ImageSource
from gatlabel.data.splits import complete_splits
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets


class MapStyle(Protocol):
    """A map-style data set: items start with ``(image, target)``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class DatasetImages(ImageSource):
    """The images and targets of a map-style data set, such as one of torchvision.

    Args:
        dataset: The data set. Items start with an image and a target ``(L,)``: 1, 0, in between
            soft, or -1 for unknown. An image is a PIL image, a uint8 tensor ``(3, h, w)`` or a
            uint8 array ``(h, w, 3)``, without augmentation or normalisation. All targets are read
            once, from the attribute ``targets`` ``(N, L)`` if there is one, otherwise by loading
            all items.
        labels: The L label names; default: the attribute ``labels`` or ``classes``.
        name: Name of the data set in messages.

    Raises:
        InputError: If there is no item, labels are missing, or a target is invalid.

    Example:
        >>> class Noise(torch.utils.data.Dataset):
        ...     labels = ["cat", "dog"]
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return torch.zeros(3, 8, 8, dtype=torch.uint8), torch.tensor([1, index % 2])
        >>> DatasetImages(Noise()).targets.to_dense()
        tensor([[1., 0.],
                [1., 1.],
                [1., 0.]])
    """

    def __init__(
        self, dataset: MapStyle, labels: Sequence[str] | None = None, name: str = "the data set"
    ) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise InputError(
                f"{name} is a {type(dataset).__name__}: give a map-style data set, with len() and "
                "items (image, target)"
            )
        if not len(dataset):
            raise InputError(f"{name} has no items")
        self.dataset, self.name = dataset, name
        self._fingerprint = ""
        names = labels
        for attribute in ("labels", "classes"):
            names = getattr(dataset, attribute, None) if names is None else names
        if names is None:
            raise InputError(f"{name} has no attribute labels: give labels=…, the label names")
        own = names if isinstance(names, LabelSet) else LabelSet(names)
        rows = self._targets(len(own))
        super().__init__(own, [str(index) for index in range(len(dataset))], rows)

    def _targets(self, labels: int) -> Targets:
        given = getattr(self.dataset, "targets", None)
        if given is not None and len(given) == len(self.dataset):
            rows = given
        else:
            rows = [self._item(index)[1] for index in range(len(self.dataset))]
        if not isinstance(rows, Targets):
            rows = self._stacked(rows)
        if rows.shape[1] != labels:
            raise InputError(
                f"{self.name} has {rows.shape[1]} targets per item, but {labels} labels"
            )
        return rows

    def _stacked(self, rows: Any) -> Targets:
        try:
            stacked = np.stack([np.asarray(row, dtype=np.float32) for row in rows])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.name}: targets must be numbers (L,), with the same L for all items"
            ) from error
        if stacked.ndim != 2:
            raise InputError(
                f"{self.name}: a target has shape {stacked.shape[1:]}, expected (L,), one number "
                "per label"
            )
        return Targets.of(stacked)

    def _item(self, index: int) -> Any:
        item = self.dataset[index]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise InputError(
                f"{self.name}: item {index} is a {type(item).__name__}, expected (image, target)"
            )
        return item

    def load(self, index: int) -> Tensor:
        """Returns one image: uint8 ``(3, height, width)``.

        Raises:
            InputError: If the item is not such an image.
        """
        image = self._item(index)[0]
        if isinstance(image, Image.Image):
            image = np.array(image.convert("RGB"))
        if isinstance(image, np.ndarray):
            image = torch.from_numpy(np.ascontiguousarray(image))
            image = image.permute(2, 0, 1) if image.ndim == 3 else image
        shape = tuple(getattr(image, "shape", ()))
        if not isinstance(image, Tensor) or image.dtype != torch.uint8 or shape[:1] != (3,):
            kind = getattr(image, "dtype", type(image).__name__)
            raise InputError(
                f"{self.name}: image {index} is {kind} {shape}, expected a PIL image or uint8 "
                "(3, h, w), RGB: remove scaling and normalisation, which the model does"
            )
        return image

    def fingerprint(self) -> str:
        """Returns a hash of all images, which are all read for it."""
        if not self._fingerprint:
            digest = hashlib.sha256()
            for index in range(len(self)):
                image = self.load(index)
                digest.update(f"{tuple(image.shape)}".encode())
                digest.update(image.contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def subset(self, indices: Sequence[int]) -> ImageSource:
        """Returns the images at the given positions, in that order."""
        return _Part(self, indices)


class _Part(ImageSource):
    """Some of the images of a data set."""

    def __init__(self, whole: ImageSource, indices: Sequence[int]) -> None:
        self._whole, self._rows = whole, list(map(int, indices))
        ids = [whole.ids[row] for row in self._rows]
        groups = whole.groups and [whole.groups[row] for row in self._rows]
        targets = whole.targets.take(np.array(self._rows, dtype=int))
        super().__init__(whole.labels, ids, targets, groups)

    def load(self, index: int) -> Tensor:
        return self._whole.load(self._rows[index])

    def fingerprint(self) -> str:
        text = f"{self._whole.fingerprint()} {self._rows}"
        return hashlib.sha256(text.encode()).hexdigest()

    def subset(self, indices: Sequence[int]) -> ImageSource:
        return _Part(self._whole, [self._rows[index] for index in indices])


def splits_of(
    data: DataSplits | MapStyle | Mapping[str, MapStyle],
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> DataSplits:
    """Creates splits from Python objects.

    Args:
        data: Splits; or a map-style data set, which is divided into train, val and test; or several
            by ``train``, ``val`` and ``test``. A missing val split is taken from train.
        labels: The label names; default: those of the data sets.
        seed: Seed of the splits made here.

    Raises:
        InputError: If a name is not a split, train is missing, or a data set has no images.
    """
    if isinstance(data, DataSplits):
        return data
    parts = data if isinstance(data, Mapping) else {"all": data}
    wrong = [name for name in parts if name not in ("all", "train", "val", "test")]
    if wrong:
        raise InputError(f"data: {wrong[0]!r} is not a split: give train, val and test")
    sources: dict[str, ImageSource] = {}
    for name, each in parts.items():
        what = "data" if name == "all" else f"data[{name!r}]"
        own = each if isinstance(each, ImageSource) else DatasetImages(each, labels, what)
        first = next(iter(sources.values()), own)
        if own.labels != first.labels:
            raise InputError(f"{what} has other labels than the previous split")
        sources[name] = own
    return complete_splits("data from Python", sources, seed=seed)
