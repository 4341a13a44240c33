"""Whether the options of a benchmark are of their types, in range and go together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from gatlabel.errors import InputError, unknown_choice
from gatlabel.experiments.graphs import parse_graph
from gatlabel.experiments.methods import takes_graph
from gatlabel.experiments.records import MOST_SEEDS
from gatlabel.experiments.similarity import SIMILARITY
from gatlabel.experiments.starting import STARTS
from gatlabel.experiments.tuning import MOST_TRIALS
from gatlabel.missing import UNKNOWN
from gatlabel.printing import clean
from gatlabel.training.option_effects import (
    SEVERAL,
    Choices,
    refuse,
    refuse_without_effect,
)

if TYPE_CHECKING:
    from gatlabel.experiments.config import BenchmarkConfig

KINDS = ("graphs", "heads")
MODES = ("frozen", "end-to-end")
#: Options that are lists: of words, and of numbers.
WORDS = ("graphs", "heads", "unknown")
NUMBERS = ("train_fractions", "hide_labels")
#: Whole numbers, and the least they may be; ``None`` is for the benchmark to choose.
LEAST = {
    **{"seeds": 1, "frozen_epochs": 1, "pretrain_pictures": 1, "pretrain_epochs": 1},
    **{"resamples": 100, "trials": 1, "tuning_seeds": 1, "workers": 1},
}
#: The most: beyond, the plan alone would fill the memory, or starting processes would not end.
MOST = {
    **{"seeds": MOST_SEEDS, "tuning_seeds": MOST_SEEDS, "trials": MOST_SEEDS, "workers": 512},
    **dict.fromkeys(("frozen_epochs", "pretrain_pictures", "pretrain_epochs"), 10**7),
    "resamples": 10**7,
}
#: Options of training that a benchmark takes from its own.
DECIDED = ("head", "graph", "unknown", "output", "overwrite", "cache", "cache_folder")
#: As of training: beside which choices an option of a benchmark does something.
EFFECTS: dict[str, tuple[Choices, ...]] = {
    **dict.fromkeys(("frozen_epochs", "frozen_start"), ({"mode": ("frozen",)},)),
    **dict.fromkeys(
        ("pretrain_pictures", "pretrain_epochs"),
        ({"mode": ("frozen",), "train.data": ("scenes",)},),
    ),
    "tuning_seeds": ({"trials_each": SEVERAL},),
}
MAY_BE_NONE = ("trials", "tuning_seeds", "workers")


def items_of(name: str, value: Any) -> tuple[Any, ...]:
    """Returns the items of an option that is a list; a lone word or number is a list of one.

    Raises:
        InputError: If an item is no word or no number, whichever the option takes.
    """
    alone = isinstance(value, str | os.PathLike) or not isinstance(value, Iterable)
    items = (value,) if alone else tuple(value)
    return tuple(_word(name, v) if name in WORDS else _number(name, v) for v in items)


def _word(name: str, value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        if clean(value) != str(value):  # tables of results name runs by it
            raise InputError(f"{name}={str(value)!r}: invisible characters; rename the file")
        return str(value)
    raise InputError(f"{name}={value!r}: give a name, or a list of names")


def _number(name: str, value: Any) -> float | str:
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if name == "hide_labels" and isinstance(value, str) and value == "single":
        return value
    single = ", or single" if name == "hide_labels" else ""
    raise InputError(f"{name}={value!r}: give a number, or a list of numbers{single}")


def check_options(config: BenchmarkConfig) -> None:
    """Checks all options but those of training, which checks its own.

    Raises:
        InputError: If a value is of the wrong type, out of range or unknown; it is named.
    """
    for name, least in LEAST.items():
        value = getattr(config, name)
        if value is None and name in MAY_BE_NONE:
            continue
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise InputError(f"{name}={value!r}: give a whole number")
        if not least <= int(value) <= MOST[name]:
            bound = f"at least {least}" if int(value) < least else f"at most {MOST[name]}"
            raise InputError(f"{name}={value}: must be {bound}")
    for name, known in (("kind", KINDS), ("mode", MODES)):
        if getattr(config, name) not in known:
            raise unknown_choice(name, str(getattr(config, name)), known)
    if config.trials_each > MOST_TRIALS:
        raise InputError(f"trials={config.trials}: there are {MOST_TRIALS} settings to try")
    if config.train.init is not None:
        raise InputError(
            f"init={config.train.init}: not for benchmarks, whose runs all start alike; give the "
            "weights of an encoder with weights"
        )
    if config.train.start != "random":
        raise InputError(
            f"start={config.train.start}: not for benchmarks; heads on frozen features have "
            "--frozen-start, and end to end all start at random"
        )
    if config.train.lr == "find":
        raise InputError(
            "lr=find: not for benchmarks, whose methods try the same rates; give a number, and "
            "--trials to try others"
        )
    if config.frozen_start not in STARTS:
        raise unknown_choice("start", config.frozen_start, STARTS)
    for name in (*WORDS, *NUMBERS):
        items = getattr(config, name)
        if len(set(items)) != len(items) or not items:
            raise InputError(f"{name}: give at least one, and each once")
    _check_items(config)
    refuse_without_effect(config.train, DECIDED)
    refuse(config, EFFECTS, _usual(config))


def _usual(config: BenchmarkConfig) -> dict[str, list[Any]]:
    """By option, its default; one tuning seed is the least."""
    usual = {name: [type(config).__dataclass_fields__[name].default] for name in EFFECTS}
    usual["tuning_seeds"].append(1)
    return usual


def _check_items(config: BenchmarkConfig) -> None:
    for share in config.train_fractions:
        if not 0 < share <= 1:
            raise InputError(f"train_fractions={share}: must be above 0 and at most 1")
    for hidden in config.hide_labels:
        if hidden != "single" and not 0 <= hidden < 1:
            raise InputError(f"hide_labels={hidden}: must be at least 0 and below 1, or single")
    for treatment in config.unknown:
        if treatment not in UNKNOWN:
            raise unknown_choice("treatment of unknown labels", treatment, UNKNOWN)
    for head in config.heads:
        takes_graph(head)
    for graph in config.graphs:
        if graph != SIMILARITY:
            parse_graph(graph)
        elif config.mode != "frozen":
            raise InputError("graphs=similarity: only with mode=frozen")
