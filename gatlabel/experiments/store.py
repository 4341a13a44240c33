"""The folder of a benchmark, which can be interrupted at any time and resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.array_reading import read_npz
from gatlabel.csv_files import read_rows
from gatlabel.disk_faults import PREFIX
from gatlabel.errors import InputError
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition, Reasons
from gatlabel.experiments.records import (
    IDENTITY,
    RUN_COLUMNS,
    TUNING_COLUMNS,
    Run,
    RunKey,
    Scope,
    current_columns,
    damaged,
    identity,
    number,
    parse_identity,
    score_name,
    write_rows,
)
from gatlabel.files import atomic_path, read_json, remove_leftovers, write_errors, write_json
from gatlabel.folder_lock import LOCK, FolderLock


class Store:
    """Reads and writes the files of a benchmark's folder.

    Every file is replaced atomically, so that an interruption leaves the state before or after.

    Args:
        folder: The folder; created when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results, self.tuning = folder / "results.csv", folder / "tuning.csv"
        self.protocol, self.environment = folder / "protocol.json", folder / "environment.json"
        self.options, self._targets = folder / "benchmark.json", folder / "targets.npz"
        self._scores = folder / "scores"
        self.runs: dict[RunKey, Run] = {}
        self.trials: dict[tuple[Method, Condition, int, int], float] = {}
        self._trial_rows: list[dict[str, Any]] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder and locks it against other benchmarks, which would overwrite rows.

        Raises:
            InputError: If another benchmark writes to the folder, it contains other files, or it
                cannot be created.
        """
        with write_errors(self.folder, "the folder "):
            self._refuse_other_things()
            self.folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(self.folder):
            for folder in (self.folder, self._scores):
                remove_leftovers(folder)
            yield

    def begin(self, fixed: Mapping[str, Any], targets: NDArray[np.float32], names: Sequence[str],
              train_counts: NDArray[np.int64]) -> None:  # fmt: skip
        """Creates the folder, or resumes from its contents.

        Args:
            fixed: The options that determine the results, as JSON values.
            targets: Targets of the reported images ``(N, L)``.
            names: The L labels.
            train_counts: int64 ``(L,)``: training positives, which define head, middle and tail.

        Raises:
            InputError: If the folder contains results with other options or data, or other files.
        """
        if self.options.is_file():
            self._read()
            if self.runs or self.trials:  # without results, options may change
                self._refuse_others(fixed, targets, names)
                return
        else:
            self._refuse_other_things()
        with atomic_path(self._targets) as temporary:
            np.savez_compressed(
                temporary, targets=targets, names=np.array(names), train_counts=train_counts
            )
        write_json(self.options, fixed)

    def _refuse_others(
        self, fixed: Mapping[str, Any], targets: NDArray[np.float32], names: Sequence[str]
    ) -> None:
        _refuse_changes(self.read_config(), fixed, self.folder)
        old, old_names, _ = self.read_targets()
        if old_names != tuple(names) or not np.array_equal(old, targets):
            raise InputError(
                f"{self.folder} contains results on other data: the data has changed; give "
                "another output"
            )

    def _refuse_other_things(self) -> None:
        """Refuses foreign files; files left by an interruption before the first run are allowed."""
        if self.options.is_file() or not self.folder.exists():
            return
        left = (self._targets.name, LOCK, PREFIX)
        if not self.folder.is_dir() or any(
            not path.name.startswith(left) for path in self.folder.iterdir()
        ):
            raise InputError(
                f"{self.folder} is not empty and not of a benchmark: give another output"
            )

    def read_config(self) -> dict[str, Any]:
        """Reads the options that determine the results.

        Raises:
            InputError: If there are none.
        """
        found: dict[str, Any] = read_json(self.options, "benchmark description")
        with damaged(self.options):
            return {"train": {}, **found}

    def read_scope(self) -> Scope:
        """Reads the scope of the comparison.

        Raises:
            InputError: If the file is missing or damaged.
        """
        found = read_json(self.protocol, "benchmark protocol")
        with damaged(self.protocol):
            return Scope.from_dict(found)

    def read_environment(self) -> dict[str, Any]:
        """Reads the versions and hardware of the runs.

        Raises:
            InputError: If the file is missing or damaged.
        """
        found = read_json(self.environment, "description of the environment")
        with damaged(self.environment):
            return {**found, "versions": dict(found["versions"])}

    def read_targets(self) -> tuple[NDArray[np.float32], tuple[str, ...], NDArray[np.int64]]:
        """Reads reported targets ``(N, L)``, label names, and training positives ``(L,)``.

        Raises:
            InputError: If the file is missing or damaged.
        """
        content = read_npz(self._targets, "targets")
        with damaged(self._targets):
            names = tuple(str(name) for name in content["names"])
            targets, counts = content["targets"], content["train_counts"]
            if targets.ndim != 2 or targets.shape[1] != len(names) or counts.shape != (len(names),):
                raise ValueError(f"targets {targets.shape} for {len(names)} labels")
            return targets.astype(np.float32, copy=False), names, counts

    def add_run(self, run: Run, logits: NDArray[np.float32], similarity: Reasons = ()) -> None:
        """Stores a run: first its scores, with the chosen similarity if any, then its row."""
        content: dict[str, Any] = {"logits": logits.astype(np.float32)}
        if similarity:
            content["similarity"] = np.array(similarity)
        with atomic_path(self.scores_path(run.key)) as temporary:
            np.savez_compressed(temporary, **content)
        self.runs[run.key] = run
        rows = [{**identity(*run.key), **run.values} for run in self.runs.values()]
        write_rows(self.results, RUN_COLUMNS, rows)

    def add_trial(
        self, key: RunKey, trial: int, options: Mapping[str, float], value: float
    ) -> None:
        """Stores the mAP of a trial on the tuning split."""
        self.trials[*key, trial] = value
        row = {**identity(*key), "trial": trial, **options, "mAP": value}
        self._trial_rows.append(row)
        write_rows(self.tuning, TUNING_COLUMNS, self._trial_rows)

    def scores_path(self, key: RunKey) -> Path:
        """Returns the path of a run's logits."""
        return self._scores / score_name(*key)

    def read_scores(self, key: RunKey) -> NDArray[np.float32]:
        """Reads the logits ``(N, L)`` of a run.

        Raises:
            InputError: If the file is missing or damaged.
        """
        path = self.scores_path(key)
        content = read_npz(path, "scores")
        with damaged(path):
            logits = content["logits"]
            if logits.ndim != 2 or logits.dtype.kind != "f":
                raise ValueError(f"scores {logits.shape} of type {logits.dtype}")
            return logits

    def read_similarity(self, key: RunKey) -> Reasons:
        """Reads what similarity a run chose; empty if none was chosen or it was not recorded.

        Raises:
            InputError: If the file is missing or damaged.
        """
        path = self.scores_path(key)
        content = read_npz(path, "scores")
        with damaged(path):
            return tuple((str(which), str(why)) for which, why in content.get("similarity", ()))

    def _read(self) -> None:
        for row in _read_rows(self.results):
            key = parse_identity(row, self.results)
            with damaged(self.results):
                values = {c: number(row.get(c, "")) for c in RUN_COLUMNS if c not in IDENTITY}
            if self.scores_path(key).is_file():
                self.runs[key] = Run(*key, values)
        for row in _read_rows(self.tuning):
            key = parse_identity(row, self.tuning)
            with damaged(self.tuning):
                self.trials[*key, int(row["trial"])] = number(row["mAP"])
            self._trial_rows.append(row)

    def load(self) -> None:
        """Reads all runs of a finished or interrupted benchmark.

        Raises:
            InputError: If the folder is not of a benchmark.
        """
        self.read_config()
        self._read()


def _refuse_changes(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    changed = [
        f"{name} was {old.get(name)}, now {new.get(name)}"
        for name in dict.fromkeys([*old, *new])
        if name != "train" and old.get(name) != new.get(name)
    ]
    before, now = old.get("train") or {}, new.get("train") or {}
    changed += [
        f"{name} was {before.get(name)}, now {now.get(name)}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise InputError(
            f"{folder} contains results with other options ({'; '.join(changed[:5])}): repeat "
            "these to resume, or give another output"
        )


def _read_rows(path: Path) -> list[dict[str, str]]:
    rows = read_rows(path, "table of results") if path.is_file() else []
    return [current_columns(row) for row in rows]
