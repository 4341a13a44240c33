"""The record of a run's options and data, and its comparison when the run is resumed."""

from __future__ import annotations

import hashlib
import operator
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gatlabel.data import DataSplits, FileImages, ImageSource
from gatlabel.errors import InputError
from gatlabel.options import Options, differing, find, leaves, with_absolute_paths
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import config_from

PACKAGES = ("gatlabel", "torch", "torchvision", "lightning", "numpy")


def run_record(config: TrainConfig, splits: DataSplits, device: torch.device) -> dict[str, Any]:
    """Returns the record of a run that its checkpoints contain: primitives only.

    Args:
        config: The resolved options.
        splits: The data.
        device: The device that the model is trained on.
    """
    return {
        "options": config.to_dict(),
        "environment": {
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
            "threads": torch.get_num_threads(),
            "device": device.type,
        },
        "data": {name: _digests(source) for name, source in splits.items()},
    }


def compare_records(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Compares the record of a checkpoint with that of the resumed run.

    Returns:
        A note for each change that allows resuming, but not with bit-identical results.

    Raises:
        InputError: If an option that affects results, or the labels or images of the data, differ.
    """
    _require_same_plan(then["options"], now["options"])
    notes = []
    for split, digests in now["data"].items():
        before = then["data"].get(split, {})
        if digests["targets"] != before.get("targets") and split != "test":
            raise InputError(
                f"the images or labels of the split {split} have changed since the run started, so "
                "it cannot be resumed: train again, or start from this model with --init"
            )
        if digests["targets"] != before.get("targets") or digests["files"] != before.get("files"):
            notes.append(
                f"note: image files of the split {split} have changed since the run started"
            )
    changed = [
        f"{name} {then['environment'].get(name)} -> {value}"
        for name, value in now["environment"].items()
        if then["environment"].get(name) != value
    ]
    if changed:
        notes.append(
            f"note: changed since the run started: {', '.join(changed)}; the result may differ in "
            "the last bits from that of an uninterrupted run"
        )
    return notes


def _require_same_plan(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    # checkpoints of earlier versions have paths as they were given
    before, after = (with_absolute_paths(config_from(options)) for options in (then, now))
    differ = []
    for path in differing(before, after):
        flags = find(after, path).metadata
        if not (flags.get("resume") or flags.get("moves")):
            was, its = (operator.attrgetter(path)(config) for config in (before, after))
            differ.append(f"{path}={_text(its)} (was {_text(was)})")
    if differ:
        raise InputError(
            f"config.yaml differs from the options that the run started with: {', '.join(differ)}. "
            "--resume uses the same options; to train longer or differently, start a new run with "
            "--init"
        )


def _digests(source: ImageSource) -> dict[str, str]:
    """Returns digests of names and targets, and of sizes and modification times of image files.

    The contents of the files are not read, as this would take long for large data sets.
    """
    digest = hashlib.sha256()
    for text in (*source.labels, "", *source.ids):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(source.targets.tobytes())
    files = hashlib.sha256()
    if isinstance(source, FileImages):
        for index in range(len(source)):
            with suppress(OSError):  # missing files are reported when they are decoded
                found = source.path(index).stat()
                files.update(f"{index} {found.st_size} {found.st_mtime_ns}\n".encode())
    return {"targets": digest.hexdigest(), "files": files.hexdigest()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def machine_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that can be changed when a run is resumed, by dotted names.

    Raises:
        InputError: If another option is given.
    """
    taken = [leaf.path for leaf in leaves(TrainConfig) if leaf.field.metadata.get("resume")]
    wrong = [name for name in options if name not in taken]
    if wrong:
        raise InputError(
            f"--resume uses the run's own options and accepts only {_flags(taken)}; not "
            f"{_flags(wrong)}"
        )
    return dict(options)


def _flags(names: Sequence[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


def _text(value: Any) -> Any:
    return value.name if isinstance(value, Options) and hasattr(value, "name") else value
