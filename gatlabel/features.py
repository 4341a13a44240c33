"""Features of every image, extracted once, kept in a cache folder and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.array_reading import map_npy
from gatlabel.data import ImageSource
from gatlabel.errors import InputError
from gatlabel.files import read_json, remove_leftovers, sync, write_errors, write_json
from gatlabel.inference import BATCH, outputs, whole_images
from gatlabel.model import MultiLabelClassifier

Kind = Literal["pooled", "map"]
VERSION = 1  # of the files: raise it when what is extracted changes
_DTYPE = {"pooled": np.float32, "map": np.float16}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureFile:
    """Features of one split, on disk.

    Attributes:
        path: The ``.npy`` file: float32 ``(N, D)``, or float16 ``(N, D, h, w)`` for maps.
    """

    path: Path

    def open(self) -> NDArray[Any]:
        """Maps the file into memory, read-only.

        Raises:
            InputError: If the file is missing or damaged.
        """
        return map_npy(self.path, "features")


def extract(
    model: MultiLabelClassifier,
    source: ImageSource,
    kind: Kind,
    cache: Path,
    advance: Callable[[int], None] = lambda images: None,
) -> FeatureFile:
    """Returns the features of a source, from the cache where it has them.

    What is there of an interrupted extraction is kept. What is damaged, in the cache or of an
    interrupted extraction, is extracted again. Images are taken whole, resized as the model has
    it.

    Args:
        model: Encoder and pooling; see :func:`~gatlabel.inference.outputs`.
        source: N images.
        kind: ``pooled`` ``(N, D)``, of all stages of the encoder, or ``map`` ``(N, D, h, w)``, of
            the last one.
        cache: Folder of features; files are named by a hash of everything that matters.
        advance: Called with the number of images that became ready.

    Raises:
        InputError: If an image cannot be decoded, or the cache cannot be written.
    """
    key = _key(model, source, kind)
    path = cache / f"features-{kind}-{key}.npy"
    if _is_whole(path, kind, len(source)):
        advance(len(source))
        return FeatureFile(path)
    with write_errors(path):
        cache.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".part.lock")
        with FileLock(lock):  # another benchmark may want the same features
            if _is_whole(path, kind, len(source)):
                advance(len(source))
            else:
                if path.exists():
                    _log.warning("the features %s are damaged and are extracted anew", path)
                remove_leftovers(cache)
                _fill(path, model, source, kind, advance)
        lock.unlink(missing_ok=True)  # who waits for it will find the features
    return FeatureFile(path)


def _fill(
    path: Path,
    model: MultiLabelClassifier,
    source: ImageSource,
    kind: Kind,
    advance: Callable[[int], None],
) -> None:
    """Extracts what is not there yet and brings the file to its place."""
    partial, progress = path.with_suffix(".part.npy"), path.with_suffix(".part.json")
    done, total = _done(partial, progress, kind, len(source))
    advance(done)
    store = np.load(partial, mmap_mode="r+", allow_pickle=False) if done else None
    rest = source.subset(range(done, len(source))) if done else source
    batches = whole_images(model, rest, batch_size=BATCH) if len(rest) else ()
    for found in outputs(model, batches, _of_images(model, kind)):
        values: NDArray[Any] = found.contiguous().numpy()
        if store is None:
            store = _new_store(partial, _DTYPE[kind], (len(source), *values.shape[1:]))
        store[done : done + len(values)] = values
        store.flush()
        done += len(values)
        total = (total + _sum(values)) % 2**64
        write_json(progress, {"done": done, "sum": total})
        advance(len(values))
    del store
    sync(partial)
    write_json(path.with_suffix(".json"), {"done": done, "sum": total})
    progress.unlink(missing_ok=True)  # first: it must never speak of another, later partial file
    partial.replace(path)
    sync(path.parent)


def _new_store(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Makes an array on disk with all its space taken, and maps it.

    To write to a mapped file for which the disk has no space ends the process.
    """
    store = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            path.unlink()
            raise
    return store


def _is_whole(path: Path, kind: Kind, count: int) -> bool:
    """Whether the features of so many images are there, and are what was written."""
    return path.is_file() and _done(path, path.with_suffix(".json"), kind, count)[0] == count


def _done(path: Path, note: Path, kind: Kind, count: int) -> tuple[int, int]:
    """Returns how many rows of a file its note vouches for, and their sum; 0 if it is damaged."""
    try:
        said = read_json(note, "note on features")
        done, total = int(said["done"]), int(said["sum"])
        array = map_npy(path, "features")
        width = 2 if kind == "pooled" else 4
        if (array.dtype, array.ndim, len(array)) != (_DTYPE[kind], width, count):
            return 0, 0
        # by parts: a sum of all at once would have all in memory
        found = sum(_sum(array[at : min(at + BATCH, done)]) for at in range(0, done, BATCH))
    except (InputError, KeyError, TypeError, ValueError):
        return 0, 0
    return (done, total) if 0 < done <= count and found % 2**64 == total else (0, 0)


def _sum(values: NDArray[Any]) -> int:
    """The sum of the words of features: it notices every flipped bit and lost page."""
    return int(values.view(np.dtype(f"u{values.itemsize}")).sum(dtype=np.uint64))


def _of_images(model: MultiLabelClassifier, kind: Kind) -> Callable[[Tensor], Tensor]:
    """What is kept of images ``(B, 3, S, S)``: float32 pooled features, or float16 maps."""

    def last_map(images: Tensor) -> Tensor:
        pixels = model.encoder.normalize(images).contiguous(memory_format=torch.channels_last)
        maps: Tensor | tuple[Tensor, ...] = model.encoder(pixels)
        return (maps if isinstance(maps, Tensor) else maps[0]).half()

    return last_map if kind == "map" else lambda images: model.features(images).float()


def _key(model: MultiLabelClassifier, source: ImageSource, kind: Kind) -> str:
    digest = hashlib.sha256()
    encoder = model.encoder.config
    if kind == "map":
        encoder.pop("stages", None)  # the last map is the same
    parts = [VERSION, kind, encoder, model.pooling_name, model.resize]
    digest.update(json.dumps([*parts, model.image_size, source.fingerprint()]).encode())
    modules = [model.encoder] if kind == "map" else [model.encoder, model.pool]
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]
