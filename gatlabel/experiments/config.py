"""The options of a benchmark, as a typed record that contains those of training."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from gatlabel.baselines.classical.options import CLASSICAL
from gatlabel.errors import InputError, unknown_choice
from gatlabel.nn.options import HEADS, HeadOptions
from gatlabel.option_values import from_text
from gatlabel.options import Options, differing, find, flat, group, option, updated
from gatlabel.printing import clean
from gatlabel.training.config import TrainConfig

#: The graph that is chosen from the training data of each run.
SIMILARITY = "similarity"
Kind = Literal["graphs", "heads", "methods"]
Mode = Literal["frozen", "end-to-end"]
Start = Literal["ridge", "random"]
Unknown = Literal["ignore", "negative", "prior", "complete"]
MOST_SEEDS = 10_000
#: Number of available optimiser settings.
MOST_TRIALS = 27
_MANY = 10**7
#: Default heads of ``benchmark heads``.
HEADS_COMPARED = ("linear", "gcn", "gat", "gatv2", "csra", "query", "conditioned")


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(Options):
    """All options of ``gatlabel benchmark``.

    A list option accepts a single item. ``train`` contains data, encoder and, end to end, training
    options as for ``gatlabel train``; its head, graph and treatment of unknown labels are ignored.
    """

    kind: Kind = option("graphs", "What is compared; affects only the wording of the report.")
    train: TrainConfig = group(TrainConfig, "Data, encoder and training, as in gatlabel train.")
    graphs: tuple[str, ...] = option(
        ("conditional", "npmi", "complete"),
        "Label graphs: variants with options, as in conditional:given=source,top_k=3, or files of "
        "graphs.",
    )
    heads: tuple[str, ...] = option(
        ("gat",),
        "Heads, with options, such as gat:hidden=64,heads=2; linear is always included.",
    )
    methods: tuple[str, ...] = option(
        (),
        "Classical methods on frozen features, with options as in forest:trees=50,leaf=2.",
    )  # fmt: skip
    seeds: int = option(
        3, "Number of seeds of every method; 3 for a first impression, 5 or more for claims.",
        least=1, most=MOST_SEEDS, resume=True,
    )  # fmt: skip
    train_fractions: tuple[float, ...] = option(
        (1.0,), "Shares of the training images to use, above 0 and at most 1.",
        above=0, most=1,
    )  # fmt: skip
    mode: Mode = option(
        "frozen",
        "frozen trains heads on features extracted once; end-to-end trains everything.",
    )
    mask_labels: tuple[float | Literal["single"], ...] = option(
        (0.0,),
        "Shares of the training targets to mask, at least 0 and below 1, or single: one known "
        "label per image. 0 masks none.",
        least=0, below=1,
    )  # fmt: skip
    unknown: tuple[Unknown, ...] = option(
        ("ignore",), "Treatments of unknown training targets, as a list."
    )
    trials: int | None = option(
        None,
        "Number of optimiser settings that every method tries on the tuning split. The default is "
        "9, or 1 (the recipe) end to end.",
        least=1, most=MOST_TRIALS,
    )  # fmt: skip
    tuning_seeds: int | None = option(
        None,
        "Number of runs per trial. The default is 3; end to end it is 1, unless the tuning split "
        "is taken from the training images, each time another part.",
        least=1, most=MOST_SEEDS,
    )  # fmt: skip
    frozen_epochs: int = option(
        20, "frozen: minimum number of epochs over the training features.", least=1, most=_MANY
    )
    frozen_start: Start = option(
        "ridge",
        "frozen: initialisation of linear classifiers of pooled features, alone or in heads, and "
        "the point they are anchored to: ridge regression with the penalty chosen by "
        "leave-one-out, or random, anchored to zero.",
    )
    pretrain_images: int = option(
        4000, "scenes: number of images for pretraining the encoder; no split contains them.",
        least=1, most=_MANY,
    )  # fmt: skip
    pretrain_epochs: int = option(4, "scenes: number of pretraining epochs.", least=1, most=_MANY)
    workers: int | None = option(
        None,
        "Number of processes that train; none is one per core.",
        least=1,
        most=512,
        resume=True,
    )
    output: Path | None = option(
        None, "Folder of the results; none creates one below runs/, named after the benchmark.",
        resume=True,
    )  # fmt: skip
    progress: bool = option(True, "Show a progress bar.", resume=True)

    def __post_init__(self) -> None:
        for name in _lists():
            object.__setattr__(self, name, _items(name, getattr(self, name)))
        super().__post_init__()
        for name in _lists():
            items = getattr(self, name)
            if len(set(items)) != len(items) or not (items or name == "methods"):
                raise InputError(f"{name}: give at least one, without duplicates")
        self._check_train()
        self._check_graphs()
        self._check_effects()
        if len(self.head_options) != len(self.heads):
            raise InputError("heads: duplicates are not allowed")
        if len(self.method_options) != len(self.methods):
            raise InputError("methods: duplicates are not allowed")
        if self.methods and self.mode != "frozen":
            raise InputError(f"methods={self.methods[0]}: only with mode=frozen")

    @property
    def trials_each(self) -> int:
        """Number of trials per method."""
        if self.trials is not None:
            return self.trials
        return 9 if self.mode == "frozen" else 1

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.output or Path("runs") / f"benchmark-{self.kind}-{self.train.data.name}"

    @property
    def head_options(self) -> dict[str, HeadOptions]:
        """Options of the heads, by name."""
        heads = [_with_options("heads", text, HEADS) for text in self.heads]
        return {head.name: head for head in heads}

    @property
    def method_options(self) -> dict[str, HeadOptions]:
        """Options of the classical methods, by name."""
        methods = [_with_options("methods", text, CLASSICAL) for text in self.methods]
        return {method.name: method for method in methods}

    def unused(self) -> str:
        """Lists the given training options that have little or no effect on frozen features."""
        given = [name for name in differing(self.train, TrainConfig()) if self._trains(name)]
        if self.mode != "frozen" or not given:
            return ""
        scenes = self.train.data.name == "scenes"
        but = ", but to train the encoder of the scenes" if scenes else ""
        return f"{', '.join(given)}{but}; mode end-to-end uses them"

    def _trains(self, name: str) -> bool:
        part = find(self.train, name.partition(".")[0])
        return any(f.metadata.get("training") for f in (part, find(self.train, name)))

    def fixed(self) -> dict[str, Any]:
        """Returns the options that determine the results, as JSON values, by dotted names."""
        train = self.train
        if train.encoder.backbone == "auto":  # it depends on the installed extras
            encoder = train.resolved().encoder
            names = ("backbone", "stride", "weights")
            train = train.with_options({f"encoder.{n}": getattr(encoder, n) for n in names})
        own = flat(self, lambda f: f.name != "train" and not f.metadata.get("resume"))
        decides = flat(train, lambda f: bool(f.metadata.get("benchmark", True)))
        if SIMILARITY in self.graphs:  # earlier runs shared classifiers in another way
            own["similarity"] = "as chosen by train, with its map"
        return {**own, "trials": self.trials_each, "train": decides}

    def _check_train(self) -> None:
        from gatlabel.training.effects import refuse_without_effect

        if self.train.encoder.init is not None:
            raise InputError(
                f"encoder.init={self.train.encoder.init}: not for benchmarks, whose runs all share "
                "one initialisation; give the weights of an encoder with encoder.weights"
            )
        if self.train.optimizer.lr == "find":
            raise InputError(
                "optimizer.lr=find: not for benchmarks, whose methods try the same rates; give a "
                "number, and --trials to try others"
            )
        treatment = "complete" if "complete" in self.unknown else "ignore"
        heads = {"head": "gat", "graph": "conditional", "missing.unknown": treatment}
        refuse_without_effect(self.train.with_options(heads))

    def _check_graphs(self) -> None:
        from gatlabel.experiments.graphs import parse_graph

        for graph in self.graphs:
            if graph != SIMILARITY:
                parse_graph(graph)
            elif self.mode != "frozen":
                raise InputError("graphs=similarity: only with mode=frozen")
            else:
                self._refuse_strengths()

    def _refuse_strengths(self) -> None:
        for head, options in self.head_options.items():
            weight = getattr(options, "similarity_weight", None)
            if weight is not None:
                raise InputError(
                    f"heads={head}:similarity_weight={weight}: not with graphs=similarity, which "
                    "chooses the weights; leave it out, or give another graph"
                )

    def _check_effects(self) -> None:
        """Refuses options that were given and have no effect together with the others."""
        usual = type(self)
        frozen, scenes = self.mode == "frozen", self.train.data.name == "scenes"
        for name, works, only in (
            ("frozen_epochs", frozen, f"not for mode={self.mode}, only for frozen"),
            ("frozen_start", frozen, f"not for mode={self.mode}, only for frozen"),
            ("pretrain_images", frozen, f"not for mode={self.mode}, only for frozen"),
            ("pretrain_epochs", frozen, f"not for mode={self.mode}, only for frozen"),
            ("pretrain_images", scenes, f"not for data={self.train.data.name}, only for scenes"),
            ("pretrain_epochs", scenes, f"not for data={self.train.data.name}, only for scenes"),
        ):
            value = getattr(self, name)
            if not works and value != getattr(usual, name):
                raise InputError(f"{name}={value}: {only}")
        if self.trials_each == 1 and self.tuning_seeds not in (None, 1):
            raise InputError(f"tuning_seeds={self.tuning_seeds}: only with several trials")


def make_config(kind: Kind, **options: Any) -> BenchmarkConfig:
    """Builds a config from benchmark options and groups of training options.

    ``data="csv"`` and ``data=CSV(root="photos")`` are short for ``train=TrainConfig(data=…)``, as
    are dotted names, ``**{"data.root": "photos"}``.

    Raises:
        InputError: If an option is unknown (the message names the nearest one) or wrong.
    """
    own = set(BenchmarkConfig.__dataclass_fields__) - {"kind"}
    given = {name: value for name, value in options.items() if name in own}
    training = {name: value for name, value in options.items() if name not in own}
    base: TrainConfig = given.pop("train", None) or TrainConfig()
    for name in training:
        if name.partition(".")[0] not in TrainConfig.__dataclass_fields__:
            raise unknown_choice("option of a benchmark", name, own | set(flat(base)))
    given["train"] = base.with_options(training)
    if kind == "heads":
        given.setdefault("graphs", ("conditional",))
        given.setdefault("heads", HEADS_COMPARED)
    if kind == "methods":
        given.setdefault("graphs", ("conditional",))
        given.setdefault("methods", tuple(CLASSICAL))
    return BenchmarkConfig(kind=kind, **given)


def _lists() -> list[str]:
    fields = dataclasses.fields(BenchmarkConfig)
    return [field.name for field in fields if str(field.type).startswith("tuple")]


def _items(name: str, value: Any) -> tuple[Any, ...]:
    """Returns the items of a list option; a single text or number becomes a list of one.

    Raises:
        InputError: If an item is not a text or number, whichever the option takes.
    """
    alone = isinstance(value, str | os.PathLike | Options) or not isinstance(value, Iterable)
    items = (value,) if alone else tuple(value)
    numbers = "float" in str(BenchmarkConfig.__dataclass_fields__[name].type)
    return tuple(_number(name, v) if numbers else _word(name, v) for v in items)


def _word(name: str, value: Any) -> str:
    if name in ("heads", "methods") and isinstance(value, HeadOptions):
        usual = (HEADS if name == "heads" else CLASSICAL)[value.name]()
        given = [f"{option}={getattr(value, option)}" for option in differing(value, usual)]
        return f"{value.name}:{','.join(given)}" if given else value.name
    if isinstance(value, str | os.PathLike):
        if clean(value) != str(value):  # it is part of the names of runs in tables
            raise InputError(f"{name}={str(value)!r}: invisible characters; rename the file")
        return str(value)
    raise InputError(f"{name}={value!r}: give a name, or a list of names")


def _number(name: str, value: Any) -> float | str:
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if name == "mask_labels" and isinstance(value, str) and value == "single":
        return value
    single = ", or single" if name == "mask_labels" else ""
    raise InputError(f"{name}={value!r}: give a number, or a list of numbers{single}")


def _with_options(where: str, text: str, known: Mapping[str, type[HeadOptions]]) -> HeadOptions:
    """Parses ``gat:hidden=64,heads=2``.

    Args:
        where: The option of the benchmark, for error messages.
        text: The text.
        known: The options of all heads or methods, by name.

    Raises:
        InputError: If there is no such head or method, or it has no such option.
    """
    name, _, rest = text.partition(":")
    if name not in known:
        raise unknown_choice(where.removesuffix("s"), name, known)
    given: dict[str, str] = {}
    for part in rest.split(",") if rest else ():
        option_name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"{where}={text}: write options as {name}:option=value, got {part!r}")
        given[option_name.strip()] = value.strip()
    if refused := {"start", "similarity"} & given.keys():
        raise InputError(
            f"{where}={text}: {min(refused)} is not for benchmarks; heads on frozen features use "
            "--frozen-start, and end to end all start at random"
        )
    head = {"head": {"name": name, **given}}
    found: TrainConfig = updated(TrainConfig(), head, from_text, f"{where}.")
    return found.head
