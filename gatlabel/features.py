"""Image features, extracted once, cached on disk and mapped into memory."""

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
from gatlabel.nn.pooling import StagePool, scaled_stage

Kind = Literal["pooled", "map"]
VERSION = 1  # of the files: increase it when the extraction changes
#: Number of last stages whose features are extracted in one pass, for a choice among them.
TOGETHER = 3
_Stored = Literal["pooled", "map", "stages"]  # stages: the last ones, pooled but not scaled
_DTYPE = {"pooled": np.float32, "map": np.float16, "stages": np.float32}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureFile:
    """Features of one split, on disk.

    Attributes:
        path: The ``.npy`` file: float32 ``(N, D)``, or float16 ``(N, D, h, w)`` for maps.
        widths: Of a file with unscaled features of several stages: the channels of the stages to
            return.
    """

    path: Path
    widths: tuple[int, ...] = ()

    def open(self) -> NDArray[Any]:
        """Maps the file into memory, read-only; scaled features of several stages are copies.

        Raises:
            InputError: If the file is missing or damaged.
        """
        array = map_npy(self.path, "features")
        if not self.widths:
            return array
        array = array[:, : sum(self.widths)]
        if len(self.widths) == 1:
            return array
        parts = torch.from_numpy(np.array(array)).split(self.widths, 1)
        return torch.cat([scaled_stage(part) for part in parts], 1).numpy()


def extract(
    model: MultiLabelClassifier,
    source: ImageSource,
    kind: Kind,
    cache: Path,
    advance: Callable[[int], None] = lambda images: None,
    *,
    together: bool = False,
) -> FeatureFile:
    """Returns the features of a source, from the cache if available.

    An interrupted extraction is resumed. Damaged features, also of an interrupted extraction, are
    extracted again. Images are not cropped; they are resized as the model defines.

    Args:
        model: Encoder and pooling; see :func:`~gatlabel.inference.outputs`.
        source: N images.
        kind: ``pooled`` ``(N, D)``, of all stages of the encoder, or ``map`` ``(N, D, h, w)``, of
            the last one.
        cache: Folder of features; file names are hashes of all inputs.
        advance: Called with the number of newly extracted images.
        together: Whether to extract pooled features of the last ``TOGETHER`` stages in the same
            pass, if the encoder has as many. Models with one or as many stages then find theirs.

    Raises:
        InputError: If an image cannot be decoded, or the cache cannot be written.
    """
    images = source.fingerprint()  # reads all files
    stored: _Stored = kind
    path = cache / _name(model, images, kind)
    file = FeatureFile(path)
    if kind == "pooled" and shares_stages(model) and not path.is_file():
        several = cache / _name(model, images, "stages")
        if several.is_file() or (together and _has_stages(model)):
            stored, path = "stages", several
            file = FeatureFile(path, model.encoder.stage_widths)
    if _is_whole(path, stored, len(source)):
        advance(len(source))
        return file
    with write_errors(path):
        cache.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".part.lock")
        with FileLock(lock):  # another process may extract the same features
            if _is_whole(path, stored, len(source)):
                advance(len(source))
            else:
                if path.exists():
                    _log.warning("the features %s are damaged and are extracted again", path)
                remove_leftovers(cache)
                _fill(path, model, source, stored, advance)
        lock.unlink(missing_ok=True)  # waiting processes then find the features
    return file


def _fill(
    path: Path,
    model: MultiLabelClassifier,
    source: ImageSource,
    kind: _Stored,
    advance: Callable[[int], None],
) -> None:
    """Extracts missing features and renames the file into place."""
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
    progress.unlink(missing_ok=True)  # first: it must never refer to a later partial file
    partial.replace(path)
    sync(path.parent)


def _new_store(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Allocates an array on disk and maps it.

    Writing to a mapped file without disk space ends the process.
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


def _is_whole(path: Path, kind: _Stored, count: int) -> bool:
    """Whether the features of all images exist and are undamaged."""
    return path.is_file() and _done(path, path.with_suffix(".json"), kind, count)[0] == count


def _done(path: Path, note: Path, kind: _Stored, count: int) -> tuple[int, int]:
    """Returns how many rows the note confirms, and their sum; 0 if the file is damaged."""
    try:
        record = read_json(note, "note on features")
        done, total = int(record["done"]), int(record["sum"])
        array = map_npy(path, "features")
        width = 4 if kind == "map" else 2
        if (array.dtype, array.ndim, len(array)) != (_DTYPE[kind], width, count):
            return 0, 0
        # in parts: a sum of all rows at once would need all of them in memory
        found = sum(_sum(array[at : min(at + BATCH, done)]) for at in range(0, done, BATCH))
    except (InputError, KeyError, TypeError, ValueError):
        return 0, 0
    return (done, total) if 0 < done <= count and found % 2**64 == total else (0, 0)


def _sum(values: NDArray[Any]) -> int:
    """Returns the sum of the words of features, which detects flipped bits and lost pages."""
    return int(values.view(np.dtype(f"u{values.itemsize}")).sum(dtype=np.uint64))


def shares_stages(model: MultiLabelClassifier) -> bool:
    """Whether features of one stage and of several come from one pass: pooling learns nothing."""
    pooled = not model.head.needs_map and not model.pool.state_dict()
    return pooled and model.encoder.stages in (1, TOGETHER)


def _has_stages(model: MultiLabelClassifier) -> bool:
    try:
        model.encoder.with_stages(TOGETHER)
    except InputError:
        return False
    return True


def _of_images(model: MultiLabelClassifier, kind: _Stored) -> Callable[[Tensor], Tensor]:
    """Returns the function from images ``(B, 3, S, S)`` to float32 vectors or float16 maps."""
    if kind == "stages":
        encoder, pool = model.encoder.with_stages(TOGETHER), StagePool(model.pooling_name, TOGETHER)
        return lambda images: torch.cat(pool.unscaled(tuple(encoder.of_images(images))), 1).float()

    def last_map(images: Tensor) -> Tensor:
        pixels = model.encoder.normalize(images).contiguous(memory_format=torch.channels_last)
        maps: Tensor | tuple[Tensor, ...] = model.encoder(pixels)
        return (maps if isinstance(maps, Tensor) else maps[0]).half()

    return last_map if kind == "map" else lambda images: model.features(images).float()


def _name(model: MultiLabelClassifier, images: str, kind: _Stored) -> str:
    """Returns the name of a file of features: a hash of model and images."""
    digest = hashlib.sha256()
    encoder = model.encoder.config
    if kind != "pooled":
        encoder.pop("stages", None)  # the last maps are the same
    parts = [VERSION, kind, encoder, model.pooling_name, model.resize]
    digest.update(json.dumps([*parts, model.image_size, images]).encode())
    modules = [model.encoder, model.pool] if kind == "pooled" else [model.encoder]
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"features-{kind}-{digest.hexdigest()[:20]}.npy"
