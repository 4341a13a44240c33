"""Pooled features of a run's data, from its cache, for few-shot and active learning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gatlabel.data import DataSplits, ImageSource
from gatlabel.deploy.inputs import Unreadable
from gatlabel.deploy.sources import images_of
from gatlabel.devices import choose_device
from gatlabel.errors import InputError
from gatlabel.features import extract
from gatlabel.inference import on_device
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.feature_moments import pooled_model


def pooled_features(
    model: MultiLabelClassifier, source: ImageSource, cache: Path, device: str = "auto"
) -> Tensor:
    """Returns pooled features ``(N, D)`` of whole images, from the cache where possible.

    Raises:
        InputError: If an image cannot be decoded, or the cache cannot be written.
    """
    pooled = pooled_model(model)
    with on_device(pooled, choose_device(device)):
        return torch.tensor(extract(pooled, source, "pooled", cache).open())


def judged_split(splits: DataSplits, name: str | None) -> tuple[str, ImageSource]:
    """Returns the evaluation split: the one named, else test, else val."""
    there = {part: source for part, source in splits.items() if part != "train" and len(source)}
    if name is None:
        name = "test" if "test" in there else "val"
    if name not in there:
        raise InputError(f"the data has no split {name!r} to evaluate on: {', '.join(there)}")
    return name, there[name]


def image_paths(sources: Sequence[Path]) -> list[Path]:
    """Returns the image files among paths, and those in folders and their subfolders.

    Raises:
        InputError: If a folder has no image or cannot be listed.
    """
    found = []
    for one in images_of([str(source) for source in sources]):
        if isinstance(one, Unreadable):
            raise InputError(one.reason)
        found.append(Path(str(one)))
    return found
