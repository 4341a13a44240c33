"""Folders of finished benchmarks, and the command that resumes an unfinished one."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError
from gatlabel.experiments.config import BenchmarkConfig, make_config
from gatlabel.experiments.records import damaged
from gatlabel.experiments.store import Store
from gatlabel.options import flat, leaves
from gatlabel.training.config import TrainConfig


def read_finished(folder: Path) -> Store:
    """Reads a benchmark's folder and checks that all runs are complete.

    Raises:
        InputError: If the folder is not of a benchmark, or runs or their scores are missing.
    """
    store = Store(folder)
    if not store.options.is_file():
        raise InputError(
            f"{folder} is not the folder of a benchmark (it has no {store.options.name}): give "
            "folders written by gatlabel benchmark graphs or heads"
        )
    store.load()
    fixed = store.read_config()
    command = _command(store, fixed)  # the options must be readable in any case
    if not store.protocol.is_file():  # stopped before its first run
        raise InputError(f"{folder} is not finished: continue with: {command}")
    scope = store.read_scope()
    if store.results.is_file() and not store.runs:
        raise InputError(
            f"{folder} has no runs with scores (the folder scores/), from which the statistics are "
            "computed: copy it with them"
        )
    missing = sum(key not in store.runs for key in scope.keys)
    if missing:
        raise InputError(
            f"{folder} is not finished: {missing} of {len(scope.keys)} runs are missing; continue "
            f"with: {_command(store, fixed, scope.seeds)}"
        )
    return store


def _command(store: Store, fixed: Mapping[str, Any], seeds: int | None = None) -> str:
    try:
        with damaged(store.options):
            return command_of(fixed, store.folder, seeds)
    except InputError as error:
        reason = str(error).removeprefix(f"{store.options} ")
        raise InputError(f"{store.options}: {reason}") from error


def command_of(fixed: Mapping[str, Any], folder: Path, seeds: int | None = None) -> str:
    """Returns the command that resumes a benchmark.

    Args:
        fixed: From :meth:`BenchmarkConfig.fixed`.
        folder: Folder of its results.
        seeds: Number of seeds, if not the default.
    """
    usual = make_config(fixed["kind"]).fixed()
    usual["trials"] = make_config(fixed["kind"], mode=fixed["mode"]).trials_each
    own = {name: value for name, value in fixed.items() if name not in ("kind", "train")}
    words = [
        word for name in own if own[name] != usual.get(name) for word in _words(name, own[name])
    ]
    usual_of: dict[str, list[Any]] = {name: [value] for name, value in flat(TrainConfig()).items()}
    for leaf in leaves(TrainConfig):
        usual_of.setdefault(leaf.path, []).append(leaf.field.default)
    for name, value in fixed["train"].items():
        if name in usual_of and value not in [*usual_of[name], *map(_listed, usual_of[name])]:
            words += _words(name.removesuffix(".name"), value)
    if seeds is not None and seeds != BenchmarkConfig.seeds:
        words += ["--seeds", str(seeds)]
    return shlex.join(["gatlabel", "benchmark", fixed["kind"], *words, "--output", str(folder)])


def flag(name: str) -> str:
    """Returns the command-line flag of an option, such as ``--images.cache-folder``."""
    return "--" + name.replace("_", "-")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _words(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        group, dot, last = name.rpartition(".")
        return [flag(name) if value else flag(f"{group}{dot}no-{last}")]
    if isinstance(value, list | tuple):  # training options are read as YAML, which includes JSON
        listed = name in {f.name for f in dataclasses.fields(BenchmarkConfig)}
        return [flag(name), ",".join(map(str, value)) if listed else json.dumps(value)]
    return [flag(name), str(value)]
