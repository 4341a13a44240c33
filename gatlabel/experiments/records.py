"""Contents of a benchmark's files: its scope as JSON values, and runs as rows of tables."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from gatlabel.csv_files import write_csv
from gatlabel.errors import InputError, first_line
from gatlabel.experiments.methods import EDGES, Method
from gatlabel.experiments.outcome import METRICS, THIRDS, Condition

IDENTITY = ("head", "graph", "edges", "unknown", "completion", "fraction", "masked", "seed")
COSTS = ("parameters", "train_seconds", "inference_us")
CHOSEN = ("lr", "weight_decay", "anchor_strength", "shrinkage")  # no anchor_strength end to end
RUN_COLUMNS = (*IDENTITY, *METRICS, *THIRDS, *COSTS, *CHOSEN)
TUNING_COLUMNS = (*IDENTITY, "trial", *CHOSEN, "mAP")

#: Columns of tables written by commit e039254 and before, and their current names.
OLD_COLUMNS = {"hidden": "masked", "hold": "anchor_strength"}

MOST_SEEDS = 10_000
LONGEST = 60  # of a method's name in a file name; file systems allow 255 bytes in all

RunKey = tuple[Method, Condition, int]


@dataclass(frozen=True)
class Run:
    """A row of ``results.csv``.

    Attributes:
        method: Head, graph, and treatment of unknown labels.
        condition: Shares of training images and of masked targets.
        seed: The seed.
        values: Metrics, costs and chosen options by column.
    """

    method: Method
    condition: Condition
    seed: int
    values: dict[str, float]

    @property
    def key(self) -> RunKey:
        """The key, unique among rows."""
        return self.method, self.condition, self.seed


@dataclass(frozen=True)
class Scope:
    """The scope of a benchmark, as stored in ``protocol.json``.

    Attributes:
        title: What is compared, on which data.
        data_set: Name of the data set.
        methods: All methods, ``linear`` first.
        conditions: All conditions, all images first.
        seeds: Number of seeds of every method.
        protocol: The protocol, as named sentences.
    """

    title: str
    data_set: str
    methods: Sequence[Method]
    conditions: Sequence[Condition]
    seeds: int
    protocol: Mapping[str, str]

    @property
    def keys(self) -> list[RunKey]:
        """The keys of all runs, by method, condition and seed."""
        return [(m, c, k) for m in self.methods for c in self.conditions for k in range(self.seeds)]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        methods, conditions = ([astuple(x) for x in xs] for xs in (self.methods, self.conditions))
        return {**self.__dict__, "methods": methods, "conditions": conditions}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scope:
        """Reads JSON values; :func:`damaged` handles the errors raised here."""
        seeds = int(values["seeds"])
        if not 1 <= seeds <= MOST_SEEDS:
            raise ValueError(f"{seeds} seeds")
        if not values["methods"] or not values["conditions"]:
            raise ValueError("nothing was compared")
        return cls(
            str(values["title"]),
            str(values["data_set"]),
            [parse_method(*parts) for parts in values["methods"]],
            [parse_condition(*parts) for parts in values["conditions"]],
            seeds,
            {str(name): str(text) for name, text in values["protocol"].items()},
        )


def parse_method(*parts: str) -> Method:
    """Reads a method from its parts in a file.

    Raises:
        ValueError: If the edges are unknown.
    """
    method = Method(*map(str, parts))
    if method.edges not in EDGES or method.completion not in ("", *EDGES):
        raise ValueError(f"unknown edges {method.edges!r}, {method.completion!r}")
    return method


def parse_condition(fraction: float | str, masked: float | str) -> Condition:
    """Reads a condition from numbers or texts."""
    return Condition(float(fraction), "single" if masked == "single" else float(masked))


def identity(method: Method, condition: Condition, seed: int) -> dict[str, Any]:
    """Returns the columns that identify a run."""
    return dict(zip(IDENTITY, (*astuple(method), *astuple(condition), seed), strict=True))


def current_columns(row: Mapping[str, str]) -> dict[str, str]:
    """Returns a row of a table under the current names of its columns."""
    return {OLD_COLUMNS.get(name, name): cell for name, cell in row.items()}


def parse_identity(row: Mapping[str, str], path: Path) -> RunKey:
    """Reads the columns that identify a run.

    Raises:
        InputError: If one is missing or not a number.
    """
    row = current_columns(row)
    with damaged(path):
        condition = parse_condition(row["fraction"], row["masked"])
        return parse_method(*(row[name] for name in IDENTITY[:5])), condition, int(row["seed"])


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Reports that a file is damaged if its values have the wrong type.

    Raises:
        InputError: If the block raises an error that wrong types cause.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{path} is damaged ({reason}): give another output") from error


def score_name(method: Method, condition: Condition, seed: int) -> str:
    """Returns the file name of a run's scores, unique on every file system.

    Differences that a file system may ignore or disallow (slashes, capitals, a rounded share, a
    long path) are encoded by a hash of the exact run.
    """
    shares = [s if isinstance(s, str) else _exact(s) for s in astuple(condition)]
    name = "".join(c if c.isalnum() or c in "~.-_" else "+" for c in method.key)[:LONGEST]
    plain = re.fullmatch(r"[a-z0-9~._-]+", method.key) and len(method.key) <= LONGEST
    if plain and "~".join(shares) == condition.key:
        return f"{name}~{condition.key}~{seed}.npz"
    digest = hashlib.sha256("~".join([method.key, *shares]).encode()).hexdigest()[:12]
    return f"{name}~{condition.key}~{seed}~{digest}.npz"


def _exact(share: float) -> str:
    return repr(float(share)).removesuffix(".0")


def number(text: str) -> float:
    """Reads a cell; an empty one is NaN."""
    return float(text) if text else math.nan


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV file atomically; NaN as empty, keys exactly, other numbers with nine digits."""
    write_csv(path, columns, [{k: _shown(v, k in IDENTITY) for k, v in r.items()} for r in rows])


def _shown(value: Any, exactly: bool) -> Any:
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return ""
    short = f"{value:.9g}"
    return repr(value) if exactly and float(short) != value else short
