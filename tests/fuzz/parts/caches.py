"""Caches of images and of features: what was corrupted is never taken for what was kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gatlabel.data import read_csv
from gatlabel.data.disk_cache import DiskCache
from gatlabel.features import Kind, extract
from tests.deploy import models
from tests.fuzz.case import Case, WrongError
from tests.fuzz.raw_bytes import corrupt

FIRST = range(4)


def caches(case: Case) -> None:
    """Fills a cache, corrupts its files, and reads it again."""
    kinds: tuple[Callable[[Case, Path], None], ...] = (_images, _features)
    case.rng.choice(kinds)(case, case.folder / "cache")


def _corrupt_files(case: Case, folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if case.rng.random() < 0.8:
            path.write_bytes(corrupt(case.rng, path.read_bytes()))


def _images(case: Case, folder: Path) -> None:
    source = read_csv(case.samples.data).train.subset(FIRST)
    DiskCache(source, 16, folder).fill(source.load, 16, threads=1)
    right = [DiskCache(source, 16, folder).get(k, source.load, 16) for k in FIRST]
    _corrupt_files(case, folder)
    cache = DiskCache(source, 16, folder)
    for k in FIRST:
        found = case.call(cache.get, k, source.load, 16)
        if found is None or not torch.equal(found, right[k]):
            raise WrongError(f"image {k} is another one in the cache")


def _features(case: Case, folder: Path) -> None:
    torch.manual_seed(0)
    model, source = models.make("linear"), read_csv(case.samples.data).train.subset(FIRST)
    kind: Kind = case.rng.choice(("pooled", "map"))
    right = np.array(extract(model, source, kind, folder).open())
    if case.rng.random() < 0.4:  # as if it had been interrupted
        for path in list(folder.iterdir()):
            path.rename(path.with_suffix(f".part{path.suffix}"))
    _corrupt_files(case, folder)
    found = case.call(extract, model, source, kind, folder)
    if found is None or not np.array_equal(found.open(), right):
        raise WrongError("the features are others in the cache")
