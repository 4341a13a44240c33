"""The options of a benchmark, as one typed record around those of training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gatlabel.errors import unknown_choice
from gatlabel.experiments.option_checks import NUMBERS, WORDS, check_options, items_of
from gatlabel.experiments.starting import Start
from gatlabel.training.config import FORMER, TrainConfig
from gatlabel.training.head_options import untaken_options

Mode = Literal["frozen", "end-to-end"]

#: Options that change neither a run nor a score, so that a benchmark may be resumed with others.
FREE = ("seeds", "resamples", "workers", "progress", "output", "feature_cache")
#: The same of training.
UNDECIDING = (
    *("output", "overwrite", "progress", "workers", "tensorboard", "cache", "cache_folder"),
    *("keep", "patience", "compare", "recipe", "on_nan", "max_pixels", "start"),
    *("preset", "time", "similarity", "folds"),
)
#: Options of training that earlier versions did not have, and what they were then.
LATER = {"init": None, "minus_one": None, "stages": 1, "group_column": None}
#: Options of the training recipe, which heads on frozen features do not follow: they try settings
#: of their own.
RECIPE = (
    *("freeze", "augmentation", "loss", "gamma_positive", "gamma_negative", "clip", "epochs"),
    *("batch_size", "optimizer", "lr", "encoder_lr", "weight_decay", "shrinkage", "schedule"),
    *("warmup", "step_epochs", "clip_gradient", "ema", "amp", "compile"),
)


@dataclass(frozen=True)
class BenchmarkConfig:
    """All options of ``gatlabel benchmark``.

    Attributes:
        kind: What is compared: graphs or heads (which changes the words of the report only).
        train: The data, the encoder and, end to end, the training: options as of ``gatlabel
            train``; those of head and graph hold for all methods that take them.
        graphs: Label graphs: variants, with options as in conditional:given=source,top_k=3, or
            files of graphs.
        heads: Heads, by name; linear is always in.
        seeds: Number of seeds of every method; 3 for a look, 5 or more for claims.
        train_fractions: Shares of the training pictures to learn from, above 0 and at most 1.
        mode: frozen trains heads on features extracted once; end-to-end trains everything.
        hide_labels: Shares of the training targets to hide, at least 0 and below 1, or single:
            one known label a picture. 0 hides none.
        unknown: What unknown training targets are treated as: ignore, negative, prior or complete.
        trials: Settings of the optimiser that every method tries on the tuning split; none
            takes 9, and end to end 1, the recipe itself.
        tuning_seeds: Number of runs that each trial is judged by; none takes 3, and end to end 1,
            unless the tuning split is cut from the training pictures, each time another.
        frozen_epochs: frozen: passes over the training features, at least.
        frozen_start: frozen: what the linear classifiers of pooled features, alone or in heads,
            start from and are held to: ridge regression, its penalty chosen by leave-one-out, or
            random, held to zero.
        resamples: Without effect since intervals need no resampling; older files name it.
        pretrain_pictures: scenes: pictures that the encoder learns from, which no split has.
        pretrain_epochs: scenes: passes over these.
        workers: Processes that train; none takes one a core.
        output: Folder of the results; none makes one below runs/, named after the benchmark.
        feature_cache: Folder of extracted features and trained encoders.
        progress: Show a progress bar.
    """

    kind: Literal["graphs", "heads"] = "graphs"
    train: TrainConfig = field(default_factory=TrainConfig)
    graphs: tuple[str, ...] = ("conditional", "npmi", "complete")
    heads: tuple[str, ...] = ("gat",)
    seeds: int = 3
    train_fractions: tuple[float, ...] = (1.0,)
    mode: Mode = "frozen"
    hide_labels: tuple[float | Literal["single"], ...] = (0.0,)
    unknown: tuple[str, ...] = ("ignore",)
    trials: int | None = None
    tuning_seeds: int | None = None
    frozen_epochs: int = 20
    frozen_start: Start = "ridge"
    resamples: int = 2000
    pretrain_pictures: int = 4000
    pretrain_epochs: int = 4
    workers: int | None = None
    output: Path | None = None
    feature_cache: Path = Path("runs") / "cache"
    progress: bool = True

    def __post_init__(self) -> None:
        for name in (*WORDS, *NUMBERS):
            object.__setattr__(self, name, items_of(name, getattr(self, name)))
        check_options(self)

    @property
    def trials_each(self) -> int:
        """Trials of every method."""
        if self.trials is not None:
            return self.trials
        return 9 if self.mode == "frozen" else 1

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.output or Path("runs") / f"benchmark-{self.kind}-{self.train.data}"

    def unused(self) -> str:
        """Names the given options of training that do nothing, or little, on frozen features."""
        usual = TrainConfig()
        given = [n for n in RECIPE if getattr(self.train, n) != getattr(usual, n)]
        if self.mode != "frozen" or not given:
            return ""
        scenes = ", but to train the encoder of the scenes" if self.train.data == "scenes" else ""
        return f"{', '.join(given)}{scenes}; mode end-to-end uses them"

    def untaken(self) -> str:
        """Names the given options of single heads that no head of the benchmark takes."""
        return ", ".join(untaken_options(self.train, self.heads))

    def fixed(self) -> dict[str, Any]:
        """Returns the options that decide the results, as JSON values."""
        own = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in FREE and f.name != "train"
        }
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in own.items()}
        train = {k: v for k, v in self.train.to_dict().items() if k not in UNDECIDING}
        # as earlier versions wrote them, so that their benchmarks can be gone on with
        train |= {name: value for name, value in FORMER.items() if train[name] is None}
        train["preset"] = train.pop("scene_preset")
        train = {k: v for k, v in train.items() if k not in LATER or v != LATER[k]}
        if self.train.backbone == "auto":  # what that means depends on what is installed
            encoder = self.train.resolved()
            train |= {name: getattr(encoder, name) for name in ("backbone", "stride", "weights")}
        return {**plain, "trials": self.trials_each, "train": train}


def make_config(kind: Literal["graphs", "heads"], **options: Any) -> BenchmarkConfig:
    """Builds a config from options of the benchmark and of training, by their names.

    ``heads`` is the benchmark's; for the number of attention heads give ``train=TrainConfig(…)``.

    Raises:
        InputError: If an option is unknown (the message gives the nearest) or wrong.
    """
    own = {f.name for f in dataclasses.fields(BenchmarkConfig)} - {"kind"}
    theirs = {f.name for f in dataclasses.fields(TrainConfig)}
    given: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for name, value in options.items():
        if name not in own | theirs:
            raise unknown_choice("option of a benchmark", name, own | theirs)
        if name in own:
            given[name] = value
        else:
            path = name in ("root", "annotations", "classes") and value is not None
            training[name] = Path(value) if path else value
    base = given.pop("train", TrainConfig() if "data" not in training else None)
    if base is None:
        given["train"] = TrainConfig(**training)
    else:
        given["train"] = dataclasses.replace(base, **training)
    if kind == "heads":
        given.setdefault("graphs", ("conditional",))
        given.setdefault("heads", HEADS_COMPARED)
    for name in ("output", "feature_cache"):
        if isinstance(given.get(name), str):
            given[name] = Path(given[name])
    return BenchmarkConfig(kind=kind, **given)


#: What ``benchmark heads`` compares unless told otherwise.
HEADS_COMPARED = ("linear", "gcn", "gat", "gatv2", "csra", "query", "conditioned")
