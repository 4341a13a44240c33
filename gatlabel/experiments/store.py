"""The folder of a benchmark: what is done stays done, whenever it is interrupted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.array_reading import read_npz
from gatlabel.csv_files import read_rows, write_csv
from gatlabel.disk_faults import PREFIX
from gatlabel.errors import InputError, first_line
from gatlabel.experiments.config import MOST_SEEDS
from gatlabel.experiments.contenders import EDGES, Contender
from gatlabel.experiments.outcome import METRICS, THIRDS, Setting
from gatlabel.experiments.score_names import old_score_name, score_name
from gatlabel.files import atomic_path, read_json, remove_leftovers, write_errors, write_json
from gatlabel.folder_lock import LOCK, FolderLock

IDENTITY = ("head", "graph", "edges", "unknown", "completion", "fraction", "hidden", "seed")
COSTS = ("parameters", "train_seconds", "inference_us")
CHOSEN = ("lr", "weight_decay", "hold", "shrinkage")  # end to end without hold
RUN_COLUMNS = (*IDENTITY, *METRICS, *THIRDS, *COSTS, *CHOSEN)
TUNING_COLUMNS = (*IDENTITY, "trial", *CHOSEN, "mAP")


RunKey = tuple[Contender, Setting, int]


@dataclass(frozen=True)
class Run:
    """A row of ``results.csv``.

    Attributes:
        contender: Who.
        setting: In what circumstances.
        seed: With which seed.
        values: Metrics, costs and chosen options by column.
    """

    contender: Contender
    setting: Setting
    seed: int
    values: dict[str, float]

    @property
    def key(self) -> RunKey:
        """What no two rows share."""
        return self.contender, self.setting, self.seed


class Store:
    """Reads and writes the files of a benchmark's folder.

    Every file is replaced as a whole, so that an interruption leaves the state before or after.

    Args:
        folder: The folder; made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results, self.tuning = folder / "results.csv", folder / "tuning.csv"
        self.table, self.report = folder / "table.md", folder / "report.html"
        self.comparisons, self.machine = folder / "comparisons.json", folder / "machine.json"
        self.protocol = folder / "protocol.json"
        self.options, self._targets = folder / "benchmark.json", folder / "targets.npz"
        self._scores = folder / "scores"
        self.runs: dict[RunKey, Run] = {}
        self.trials: dict[tuple[Contender, Setting, int, int], float] = {}
        self.tried: dict[int, dict[str, float]] = {}  # what each trial's settings were
        self._trial_rows: list[dict[str, Any]] = []

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Makes the folder and keeps other benchmarks out of it, whose rows would be lost.

        Raises:
            InputError: If another benchmark writes to the folder, it holds other files, or it
                cannot be made.
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
        """Makes the folder, or takes up what is in it.

        Args:
            fixed: The options that decide the results, as JSON values.
            targets: Of the reported pictures ``(N, L)``.
            names: The L labels.
            train_counts: int64 ``(L,)``: training positives, which make head, middle and tail.

        Raises:
            InputError: If the folder holds results of other options or data, or other files.
        """
        if self.options.is_file():
            self._read()
            if self.runs or self.trials:  # else there is nothing that other options would spoil
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
                f"{self.folder} holds results on other data: the data has changed; give "
                "another output"
            )

    def _refuse_other_things(self) -> None:
        """What an interruption before the first run leaves behind is no other thing."""
        if self.options.is_file() or not self.folder.exists():
            return
        left = (self._targets.name, LOCK, PREFIX)
        if not self.folder.is_dir() or any(
            not path.name.startswith(left) for path in self.folder.iterdir()
        ):
            raise InputError(
                f"{self.folder} is not empty and holds no benchmark: give another output"
            )

    def read_config(self) -> dict[str, Any]:
        """Reads the options that decide the results.

        Raises:
            InputError: If there are none.
        """
        found: dict[str, Any] = read_json(self.options, "benchmark description")
        with damaged(self.options):
            return {"train": {}, **found}

    def read_protocol(self) -> dict[str, Any]:
        """Reads what is compared: ``title``, ``protocol``, ``contenders``, and ``seeds`` if given.

        Raises:
            InputError: If the file is missing or damaged.
        """
        about = read_json(self.protocol, "benchmark protocol")
        with damaged(self.protocol):
            facts = {str(name): str(text) for name, text in about["protocol"].items()}
            found: dict[str, Any] = {"title": str(about["title"]), "protocol": facts}
            found["contenders"] = [_contender(*parts) for parts in about["contenders"]]
            if "seeds" in about:
                if not 1 <= int(about["seeds"]) <= MOST_SEEDS:
                    raise ValueError(f"{about['seeds']} seeds")
                found["seeds"] = int(about["seeds"])
            return found

    def read_machine(self) -> dict[str, Any]:
        """Reads on what machine and with which versions the runs were made.

        Raises:
            InputError: If the file is missing or damaged.
        """
        found = read_json(self.machine, "description of the machine")
        with damaged(self.machine):
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

    def add_run(self, run: Run, logits: NDArray[np.float32]) -> None:
        """Keeps a run: first its scores, then its row."""
        with atomic_path(self._scores / score_name(*run.key)) as temporary:
            np.savez_compressed(temporary, logits=logits.astype(np.float32))
        self.runs[run.key] = run
        rows = [{**identity(*run.key), **run.values} for run in self.runs.values()]
        write_rows(self.results, RUN_COLUMNS, rows)

    def add_trial(
        self, who: Contender, where: Setting, seed: int, trial: int,
        options: Mapping[str, float], value: float,
    ) -> None:  # fmt: skip
        """Keeps the mAP of a trial on the tuning split."""
        self.trials[who, where, seed, trial] = value
        row = {**identity(who, where, seed), "trial": trial, **options, "mAP": value}
        self._trial_rows.append(row)
        write_rows(self.tuning, TUNING_COLUMNS, self._trial_rows)

    def scores_path(self, key: RunKey) -> Path:
        """Where the logits of a run lie, also under the name that older versions gave them."""
        path, old = self._scores / score_name(*key), self._scores / old_score_name(*key)
        return old if not path.is_file() and _is_there(old) else path

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

    def _read(self) -> None:
        found: dict[Path, RunKey] = {}
        for row in _read_rows(self.results):
            key = parse_identity(row, self.results)
            with damaged(self.results):
                values = {c: _number(row.get(c, "")) for c in RUN_COLUMNS if c not in IDENTITY}
            path = self.scores_path(key)
            if not path.is_file():
                continue
            other = found.setdefault(path, key)
            if other != key:
                raise InputError(
                    f"{path} would be the scores of two runs ({other[0].title} and "
                    f"{key[0].title}): an older version wrote one over the other; give another "
                    "output"
                )
            self.runs[key] = Run(*key, values)
        for row in _read_rows(self.tuning):
            who, where, seed = parse_identity(row, self.tuning)
            with damaged(self.tuning):
                trial = int(row["trial"])
                self.trials[who, where, seed, trial] = _number(row["mAP"])
                self.tried[trial] = {name: _number(row.get(name, "")) for name in CHOSEN}
            self._trial_rows.append(row)

    def load(self) -> None:
        """Reads all runs of a finished or interrupted benchmark.

        Raises:
            InputError: If the folder holds none.
        """
        self.read_config()
        self._read()


def identity(who: Contender, where: Setting, seed: int) -> dict[str, Any]:
    """Returns the columns that name a run."""
    values = (who.head, who.graph, who.edges, who.unknown, who.completion)
    return dict(zip(IDENTITY, (*values, where.fraction, where.hidden, seed), strict=True))


def parse_identity(row: Mapping[str, str], path: Path) -> RunKey:
    """Reads the columns that name a run.

    Raises:
        InputError: If one is missing or no number.
    """
    with damaged(path):
        who = _contender(*(row[name] for name in IDENTITY[:5]))
        hidden = row["hidden"] if row["hidden"] == "single" else float(row["hidden"])
        return who, Setting(float(row["fraction"]), hidden), int(row["seed"])


def _contender(*parts: str) -> Contender:
    """A contender from the parts that a file holds."""
    who = Contender(*map(str, parts))
    if who.edges not in EDGES or who.completion not in ("", *EDGES):
        raise ValueError(f"unknown edges {who.edges!r}, {who.completion!r}")
    return who


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Says of what cannot be made sense of that the file is damaged.

    Raises:
        InputError: If the block raises what values of the wrong kind raise.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{path} is damaged ({reason}): give another output") from error


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
            f"{folder} holds results of other options ({'; '.join(changed[:5])}): repeat those to "
            "go on, or give another output"
        )


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is longer than the file system allows: nobody wrote it
        return False


def _number(text: str) -> float:
    return float(text) if text else math.nan


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV file as a whole; NaN as nothing, what names a run exactly, else nine digits."""
    write_csv(path, columns, [{k: _shown(v, k in IDENTITY) for k, v in r.items()} for r in rows])


def _shown(value: Any, exactly: bool) -> Any:
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return ""
    short = f"{value:.9g}"
    return repr(value) if exactly and float(short) != value else short


def _read_rows(path: Path) -> list[dict[str, str]]:
    return read_rows(path, "table of results") if path.is_file() else []
