"""What a run was begun with, and what has changed when it is resumed."""

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
from gatlabel.options import Options, differing, find, leaves
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import config_from

PACKAGES = ("gatlabel", "torch", "torchvision", "lightning", "numpy")


def run_record(config: TrainConfig, splits: DataSplits, device: torch.device) -> dict[str, Any]:
    """Returns what a checkpoint notes about its run: primitives only.

    Args:
        config: The resolved options.
        splits: The data.
        device: Where the model trains.
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
    """Compares the record of a checkpoint with that of the run that goes on from it.

    Returns:
        A note for each change under which going on makes sense, but not bit for bit.

    Raises:
        InputError: If an option of the plan, or the labels of the data, are others.
    """
    _require_same_plan(then["options"], now["options"])
    notes = []
    for split, digests in now["data"].items():
        before = then["data"].get(split, {})
        if digests["targets"] != before.get("targets") and split != "test":
            raise InputError(
                f"the images or labels of the split {split} are not those that the run began with: "
                "--resume repeats the plan; train anew, or start from this model with --init"
            )
        if digests["targets"] != before.get("targets") or digests["files"] != before.get("files"):
            notes.append(f"note: image files of the split {split} have changed since the run began")
    changed = [
        f"{name} {then['environment'].get(name)} -> {value}"
        for name, value in now["environment"].items()
        if then["environment"].get(name) != value
    ]
    if changed:
        notes.append(
            f"note: changed since the run began: {', '.join(changed)}; the result may differ in "
            "its last bits from that of an uninterrupted run"
        )
    return notes


def _require_same_plan(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    before, after = config_from(then), config_from(now)
    differ = []
    for path in differing(before, after):
        flags = find(after, path).metadata
        if not (flags.get("resume") or flags.get("moves")):
            was, its = (operator.attrgetter(path)(config) for config in (before, after))
            differ.append(f"{path}={_text(its)} (was {_text(was)})")
    if differ:
        raise InputError(
            f"config.yaml differs from the options that the run began with: {', '.join(differ)}. "
            "--resume repeats the plan; to go on longer or otherwise, start a new run with --init"
        )


def _digests(source: ImageSource) -> dict[str, str]:
    """Digests of names and targets, and of sizes and times of the image files.

    Not of what is in the files: to read them all before every run would take long for large sets.
    """
    digest = hashlib.sha256()
    for text in (*source.labels, "", *source.ids):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(source.targets.tobytes())
    files = hashlib.sha256()
    if isinstance(source, FileImages):
        for index in range(len(source)):
            with suppress(OSError):  # what is missing is found when it is decoded
                found = source.path(index).stat()
                files.update(f"{index} {found.st_size} {found.st_mtime_ns}\n".encode())
    return {"targets": digest.hexdigest(), "files": files.hexdigest()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def machine_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that a resumed run takes besides, by dotted names.

    Raises:
        InputError: If another is among them.
    """
    taken = [leaf.path for leaf in leaves(TrainConfig) if leaf.field.metadata.get("resume")]
    wrong = [name for name in options if name not in taken]
    if wrong:
        raise InputError(
            f"--resume repeats the run's own options and takes none but {_flags(taken)}; not "
            f"{_flags(wrong)}"
        )
    return dict(options)


def _flags(names: Sequence[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


def _text(value: Any) -> Any:
    return value.name if isinstance(value, Options) and hasattr(value, "name") else value
