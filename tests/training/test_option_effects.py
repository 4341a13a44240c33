"""Options that would do nothing are refused, and so are values that are none."""

import dataclasses
import math
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import yaml

from gatlabel.errors import InputError
from gatlabel.experiments import make_config
from gatlabel.losses import AsymmetricLoss, FocalLoss
from gatlabel.nn import HEADS
from gatlabel.training import RECIPES, TrainConfig, train
from gatlabel.training.config import FORMER, read_options
from gatlabel.training.head_options import refuse_untaken_options
from gatlabel.training.losses import LOSS_OPTIONS, LOSSES, make_loss
from gatlabel.training.option_checks import BOUNDS, SHARES
from gatlabel.training.option_effects import EFFECTS
from gatlabel.training.options import config_from

CSV = {"data": "csv", "root": Path("photos")}
HINTS = get_type_hints(TrainConfig)

WITHOUT_EFFECT: list[tuple[dict[str, Any], str]] = [
    ({"init": Path("a"), "weights": "x"}, "weights=x: not for init=a, only for none"),
    ({"loss": "bce", "clip": 0.3}, "clip=0.3: not for loss=bce, only for asl"),
    ({"loss": "bce", "clip": 0.05}, "clip=0.05: not for loss=bce"),
    ({"loss": "bce", "gamma_positive": 0}, "gamma_positive=0: not for loss=bce, only for focal"),
    ({"loss": "focal", "gamma_negative": 2.0}, "gamma_negative=2.0: not for loss=focal, only for"),
    ({"schedule": "constant", "warmup": 0.1}, "warmup=0.1: not for schedule=constant, only for"),
    ({"step_epochs": 3}, "step_epochs=3: not for schedule=onecycle, only for step"),
    ({"freeze": "encoder", "encoder_lr": 0.5}, "encoder_lr=0.5: not for freeze=encoder, only"),
    ({"cache_folder": Path("x")}, "cache_folder=.*: not for cache=auto, only for disk"),
    ({"head": "csra", "stages": 3}, "stages=3: not for head=csra, only for linear"),
    ({"head": "query", "stages": 2}, "stages=2: not for head=query, only for linear"),
    ({"head": "conditioned", "stages": 2}, "stages=2: not for head=conditioned, only for linear"),
    ({"head": "csra", "pooling": "max"}, "pooling=max: not for head=csra, only for linear"),
    ({"head": "linear", "shrinkage": 0.5}, "shrinkage=0.5: not for head=linear, only for"),
    ({"base": "nodes", "shrinkage": 0.5}, "shrinkage=0.5: not for base=nodes, only for classif"),
    ({"head": "csra", "graph": "npmi:top_k=3"}, "graph=npmi:top_k=3: not for head=csra, only for"),
    ({"head": "linear", "graph": "npmi:top_k=3"}, "graph=npmi:top_k=3: not for head=linear, only"),
    (
        {"similarity": "auto", "start": "ridge", "graph": "npmi:top_k=3"},
        "similarity=auto: not for graph=npmi, only for conditional",
    ),
    ({**CSV, "train_pictures": 5}, "train_pictures=5: not for data=csv, only for scenes"),
    ({**CSV, "test_pictures": 5}, "test_pictures=5: not for data=csv, only for scenes"),
    ({**CSV, "scene_preset": "coco"}, "scene_preset=coco: not for data=csv, only for scenes"),
    ({"on_error": "skip"}, "on_error=skip: not for data=scenes, only for csv, voc, coco, json"),
    (
        {**CSV, "label_columns": ["cat"], "label_column": "tags"},
        "label_column=tags: not for label_columns=cat, only for none",
    ),
    ({"head": "gcn", "start": "ridge"}, "start=ridge: not for head=gcn, only for"),
    ({"preset": "best"}, "preset=best: not for recipe=plain, only for auto"),
    ({"similarity": "auto"}, "similarity=auto: not for start=random, only for ridge"),
    ({"time": "10m"}, "time=10m: not for recipe=plain, only for auto"),
    ({"overwrite": True}, "overwrite=True: only with a given output"),
]


@pytest.mark.parametrize(("options", "message"), WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(options: dict[str, Any], message: str) -> None:
    config = TrainConfig(**options)
    with pytest.raises(InputError, match=message):
        refuse_untaken_options(config)
    with pytest.raises(InputError, match=message):
        train(config)


def test_every_row_of_the_table_is_tried() -> None:
    assert set(EFFECTS) <= {name for options, _ in WITHOUT_EFFECT for name in options}


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "asl", "gamma_positive": 0, "gamma_negative": 0, "clip": 0},
        {"loss": "focal", "gamma_positive": 0},
        {"schedule": "step", "step_epochs": 3},
        {"warmup": 0.5},
        {"graph": "random:base=npmi"},
        {"graph": "knn:vectors=names,k=3", "head": "conditioned"},
        {"head": "linear", "unknown": "complete", "graph": "npmi:top_k=3", "kinship": 0.5},
        {"similarity": "auto", "start": "ridge", "graph": "conditional:top_k=3"},
        {"head": "conditioned", "shrinkage": 0.5},
        {"output": Path("run"), "overwrite": True},
        {"cache": "disk", "cache_folder": Path("x")},
        {**CSV, "on_error": "skip"},
    ],
)
def test_an_option_with_effect_is_taken(options: dict[str, Any]) -> None:
    refuse_untaken_options(TrainConfig(**options))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "options",
    [
        {"loss": "bce", "schedule": "constant", "freeze": "encoder"},
        {"loss": "focal", **CSV},
        {"loss": "asl", "schedule": "step"},
    ],
)
def test_what_a_recipe_or_a_run_chose_is_not_given(
    recipe: str, head: str, options: dict[str, Any], tmp_path: Path
) -> None:
    config = RECIPES[recipe](head=head, **options)
    refuse_untaken_options(config)
    config.resolved().save(tmp_path / "config.yaml")  # as a run leaves it
    again = config_from(read_options(tmp_path / "config.yaml"))
    refuse_untaken_options(again)
    assert again == config.resolved()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_left_open_has_its_own_options(loss: str) -> None:
    for made in (make_loss(TrainConfig(loss=loss)), make_loss(TrainConfig(loss=loss).resolved())):
        assert {**vars(made), "training": True} == {**vars(LOSSES[loss]()), "training": True} or (
            repr(made) == repr(LOSSES[loss]())
        )


def test_a_given_nought_is_nought() -> None:
    focal = make_loss(TrainConfig(loss="focal", gamma_positive=0))
    assert isinstance(focal, FocalLoss)
    assert focal.gamma == 0
    asymmetric = make_loss(TrainConfig(loss="asl", gamma_negative=0, clip=0))
    assert isinstance(asymmetric, AsymmetricLoss)
    assert (asymmetric.gamma_negative, asymmetric.gamma_positive, asymmetric.clip) == (0, 0, 0)
    assert set(LOSS_OPTIONS) == set(LOSSES)


@pytest.mark.parametrize(("loss", "gamma"), [("focal", 2.0), ("bce", None)])
def test_a_file_of_before_means_what_it_meant(loss: str, gamma: float, tmp_path: Path) -> None:
    """Earlier versions wrote the defaults of all losses, and focal took 0.0 for 2."""
    older = TrainConfig(loss=loss).to_dict() | FORMER
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(older))
    config = config_from(read_options(tmp_path / "config.yaml"))
    refuse_untaken_options(config)
    assert config.resolved().gamma_positive == gamma


def _kind(value: Any) -> str:
    """Python does not print the largest."""
    return f"{value.bit_length()} bits" if type(value) is int else repr(value)


def _numbers(kind: type) -> list[str]:
    return [name for name, hint in HINTS.items() if kind in (hint, *get_args(hint))]


def test_every_number_has_bounds() -> None:
    assert {*_numbers(int), *_numbers(float)} == {*BOUNDS, *SHARES}


@pytest.mark.parametrize("name", _numbers(float))
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, True, "0.5", [0.5], -7], ids=_kind
)
def test_no_number_is_refused(name: str, value: Any) -> None:
    value = (value, 0.5, 0.5) if name == "fractions" else value
    with pytest.raises(InputError, match=rf"^{name}=") as caught:
        TrainConfig(**{name: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", _numbers(int))
@pytest.mark.parametrize("value", [10**40, 10**5000, 1.5, math.nan, "3", False, -1], ids=_kind)
def test_no_whole_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name}=") as caught:
        TrainConfig(**{name: value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "options",
    [
        *({name: "no"} for name, hint in HINTS.items() if hint is bool),
        *({name: 3} for name, hint in HINTS.items() if hint in (bool, str)),
        {"head": 3},
        {"loss": "BCE"},
        {"root": "a\0b"},
        {"backbone": "resnet18\0"},
        {"label_columns": "cat"},
        {"fractions": (0.5, 0.5)},
    ],
)
def test_values_of_other_types_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        TrainConfig(**options)


def test_values_become_plain() -> None:
    config = TrainConfig(epochs=np.int64(3), ema=np.float32(0.5), root="photos", data="csv")
    assert config == TrainConfig(epochs=3, ema=0.5, root=Path("photos"), data="csv")
    yaml.safe_dump(config.to_dict())
    assert dataclasses.replace(config, fractions=[0.5, 0.25, 0.25]).fractions == (0.5, 0.25, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "end-to-end", "frozen_epochs": 3}, "frozen_epochs=3: not for mode=end-to-end"),
        ({"mode": "end-to-end", "frozen_start": "random"}, "frozen_start=random: not for mode"),
        ({**CSV, "pretrain_epochs": 3}, "pretrain_epochs=3: not for data=csv, only for scenes"),
        ({"mode": "end-to-end", "pretrain_pictures": 9}, "pretrain_pictures=9: not for mode="),
        ({"trials": 1, "tuning_seeds": 2}, "tuning_seeds=2: only with several trials"),
        ({"mode": "end-to-end", "clip": 0.3}, "clip=0.3: not for loss=bce, only for asl"),
        ({**CSV, "scene_preset": "coco"}, "scene_preset=coco: not for data=csv"),
        ({"lr": math.nan}, "lr=nan: give a finite number"),
        ({"train_fractions": math.nan}, "train_fractions=nan"),
        ({"hide_labels": math.nan}, "hide_labels=nan"),
    ],
)
def test_options_of_a_benchmark_without_effect(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_config("graphs", **options)
