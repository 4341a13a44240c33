"""Options that would do nothing are refused, and so are values that are none."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gatlabel.errors import InputError
from gatlabel.experiments import make_config
from gatlabel.losses import LOSSES, AsymmetricLoss, FocalLoss
from gatlabel.losses.options import LOSSES as LOSS_OPTIONS
from gatlabel.nn import HEADS
from gatlabel.option_values import kinds_of
from gatlabel.options import Leaf, leaves
from gatlabel.training import RECIPES, TrainConfig, train
from gatlabel.training.effects import given_for_epochs, refuse_without_effect
from gatlabel.training.losses import make_loss
from gatlabel.training.recipes import read_config

CSV = {"data": "csv", "data.root": Path("photos")}
LEAVES = list(leaves(TrainConfig))

#: Refused where the options of a part are made.
OF_ONE_PART: list[tuple[dict[str, Any], str]] = [
    ({"encoder.init": "a", "encoder.weights": "x"}, "encoder.weights=x: not for init=a, only"),
    ({"loss.clip": 0.3}, "loss.clip=0.3: not for loss=bce, only for asl"),
    ({"loss": "focal", "loss.gamma_negative": 2.0}, "not for loss=focal, only for asl"),
    (
        {"optimizer.schedule": "constant", "optimizer.schedule.warmup": 0.1},
        "warmup=0.1: not for optimizer.schedule=constant, only for onecycle",
    ),
    ({"optimizer.schedule.epochs": 3}, "epochs=3: not for optimizer.schedule=onecycle, only for"),
    ({"head": "linear", "head.residual_decay": 0.5}, "residual_decay=0.5: not for head=linear"),
    ({"head.base": "nodes", "head.residual_decay": 0.5}, "not for base=nodes, only for classif"),
    ({"head.base": "nodes", "head.start": "ridge"}, "start=ridge: not for base=nodes"),
    ({**CSV, "data.train_images": 5}, "train_images=5: not for data=csv, only for scenes"),
    ({**CSV, "data.test_images": 5}, "test_images=5: not for data=csv, only for scenes"),
    ({**CSV, "data.preset": "coco"}, "preset=coco: not for data=csv, only for scenes"),
    (
        {"data.on_error": "skip"},
        "on_error=skip: not for data=scenes, only for csv, voc",
    ),
    (
        {**CSV, "data.label_columns": ["cat"], "data.label_column": "tags"},
        "label_column=tags: not for label_columns=cat, only for none",
    ),
    ({"head": "gcn", "head.start": "ridge"}, "start=ridge: not for head=gcn, only for"),
    ({"recipe.preset": "best"}, "preset=best: not for recipe=plain, only for auto"),
    ({"recipe.time": "10m"}, "time=10m: not for recipe=plain, only for auto"),
    ({"head.similarity": "auto", "head.start": "random"}, "similarity=auto: not for start=random"),
    (
        {"head.similarity": "auto", "head.similarity_weight": 0.5},
        "similarity=auto: not for similarity_weight=0.5, only for none",
    ),
    ({"run.overwrite": True}, "run.overwrite=True: only if output is given"),
]
#: Refused before a run begins.
OF_SEVERAL_PARTS: list[tuple[dict[str, Any], str]] = [
    ({"encoder.freeze": "encoder", "optimizer.encoder_lr": 0.5}, "encoder_lr=0.5: not for encoder"),
    ({"encoder.freeze": "encoder", "optimizer.depth_decay": 0.5}, "depth_decay=0.5: not for enc"),
    ({"head": "csra", "encoder.stages": 3}, "stages=3: not for head=csra, only for linear"),
    ({"head": "query", "encoder.stages": 2}, "stages=2: not for head=query, only for linear"),
    ({"head": "conditioned", "encoder.stages": 2}, "stages=2: not for head=conditioned, only for"),
    ({"head": "csra", "encoder.pooling": "max"}, "pooling=max: not for head=csra, only for linear"),
    ({"head": "csra", "graph": "npmi:top_k=3"}, "graph=npmi:top_k=3: not for head=csra, only for"),
    ({"head": "linear", "graph": "npmi:top_k=3"}, "graph=npmi:top_k=3: not for head=linear"),
    ({"missing.similarity_weight": 0.5}, "similarity_weight=0.5: not for missing.unknown=ignore"),
    ({"head.start": "ridge", "encoder.init": "a"}, "head.start=ridge: not for encoder.init=a"),
    (
        {"head.start": "ridge", "head.similarity": "auto", "graph": "npmi"},
        "head.similarity=auto: not for graph=npmi, only for conditional",
    ),
    (
        {"head.hierarchy": "isa.csv", "graph": "npmi"},
        "head.hierarchy=isa.csv: not for graph=npmi, only for conditional",
    ),
]


@pytest.mark.parametrize(("options", "message"), OF_ONE_PART)
def test_options_of_one_part_that_do_not_go_together(options, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        TrainConfig().with_options(options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("options", "message"), OF_SEVERAL_PARTS)
def test_an_option_without_effect_is_refused(options: dict[str, Any], message: str) -> None:
    config = TrainConfig().with_options(options)
    with pytest.raises(InputError, match=message):
        refuse_without_effect(config)
    with pytest.raises(InputError, match=message):
        train(config)


def test_a_linear_head_is_not_compared_with_itself() -> None:
    given = {"head": "linear", "run.compare": "yes"}
    with pytest.raises(InputError, match=r"run\.compare=yes: not for head=linear"):
        train(TrainConfig().with_options({**CSV, **given}))
    for other in (given, {**CSV, "head": "linear", "run.compare": "no"}, {**CSV, "head": "linear"}):
        refuse_without_effect(TrainConfig().with_options(other))


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "asl", "loss.gamma_positive": 0, "loss.gamma_negative": 0, "loss.clip": 0},
        {"loss": "focal", "loss.gamma": 0},
        {"optimizer.schedule": "step", "optimizer.schedule.epochs": 3},
        {"optimizer.schedule.warmup": 0.5},
        {"graph": "random:base=npmi"},
        {"head": "conditioned", "graph": "knn:vectors=names,k=3"},
        {"head": "linear", "missing.unknown": "complete", "graph": "npmi:top_k=3"},
        {"missing.unknown": "complete", "missing.similarity_weight": 0.5},
        {"head": "conditioned", "head.residual_decay": 0.5},
        {"run.output": Path("run"), "run.overwrite": True},
        {"images.cache_folder": Path("x")},
        {**CSV, "data.on_error": "skip"},
    ],
)
def test_an_option_with_effect_is_taken(options: dict[str, Any]) -> None:
    refuse_without_effect(TrainConfig().with_options(options))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "options",
    [
        {"loss": "bce", "optimizer.schedule": "constant", "encoder.freeze": "encoder"},
        {"loss": "focal", **CSV},
        {"loss": "asl", "optimizer.schedule": "step"},
    ],
)
def test_what_a_recipe_or_a_run_chose_is_not_given(
    recipe: str, head: str, options: dict[str, Any], tmp_path: Path
) -> None:
    config = RECIPES[recipe]().with_options({"head": head, **options})
    refuse_without_effect(config)
    config.resolved().save(tmp_path / "config.yaml")  # as a run leaves it
    again = read_config(tmp_path / "config.yaml")
    refuse_without_effect(again)
    assert again == config.resolved()


@pytest.mark.parametrize("loss", sorted(LOSSES.keys() - {"db", "ce", "snll"}))
def test_a_loss_left_open_has_its_own_options(loss: str) -> None:
    for made in (make_loss(TrainConfig(loss=loss)), make_loss(TrainConfig(loss=loss).resolved())):
        assert {**vars(made), "training": True} == {**vars(LOSSES[loss]()), "training": True} or (
            repr(made) == repr(LOSSES[loss]())
        )


def test_a_given_nought_is_nought() -> None:
    focal = make_loss(TrainConfig(loss={"name": "focal", "gamma": 0}))
    assert isinstance(focal, FocalLoss)
    assert focal.gamma == 0
    nought = {"name": "asl", "gamma_negative": 0, "clip": 0}
    asymmetric = make_loss(TrainConfig(loss=nought))
    assert isinstance(asymmetric, AsymmetricLoss)
    assert (asymmetric.gamma_negative, asymmetric.gamma_positive, asymmetric.clip) == (0, 0, 0)
    assert set(LOSS_OPTIONS) == set(LOSSES)


def _kind(value: Any) -> str:
    """Python does not print the largest."""
    return f"{value.bit_length()} bits" if type(value) is int else repr(value)


def _of_kind(kind: type) -> list[Any]:
    """Options of a kind, each once for every group that has it."""
    found = [leaf for leaf in LEAVES if kind in kinds_of(leaf.hint) or leaf.hint is kind]
    return [pytest.param(leaf, id="-".join((*leaf.names, leaf.path))) for leaf in found]


def _given(leaf: Leaf, value: Any) -> dict[str, Any]:
    """The option, with the choice that has it."""
    choice = {leaf.path.rpartition(".")[0]: leaf.names[0]} if leaf.names else {}
    root = {"data.root": "photos"} if choice.get("data", "scenes") != "scenes" else {}
    return {**choice, **root, leaf.path: value}


def test_every_number_has_bounds() -> None:
    numbers = [leaf for leaf in LEAVES if {int, float} & set(kinds_of(leaf.hint))]
    numbers += [leaf for leaf in LEAVES if "float" in str(leaf.hint)]
    assert len(numbers) > 40
    for leaf in numbers:
        assert {"most", "below"} & leaf.field.metadata.keys(), leaf.path
        assert "least" in leaf.field.metadata, leaf.path


@pytest.mark.parametrize("leaf", _of_kind(float))
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, True, "0.5", [0.5], -7], ids=_kind
)
def test_no_number_is_refused(leaf: Leaf, value: Any) -> None:
    if isinstance(value, str) and str in kinds_of(leaf.hint):
        return  # a file of numbers
    with pytest.raises(InputError, match=rf"^{leaf.path}=") as caught:
        TrainConfig().with_options(_given(leaf, value))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("leaf", _of_kind(int))
@pytest.mark.parametrize("value", [10**40, 10**5000, 1.5, math.nan, "3", False, -1], ids=_kind)
def test_no_whole_number_is_refused(leaf: Leaf, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{leaf.path}=") as caught:
        TrainConfig().with_options(_given(leaf, value))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "options",
    [
        *(_given(leaf, "no") for leaf in LEAVES if leaf.hint is bool),
        *(_given(leaf, 3) for leaf in LEAVES if leaf.hint in (bool, str)),
        {"head": 3},
        {"loss": "BCE"},
        {**CSV, "data.root": "a\0b"},
        {"encoder.backbone": "resnet18\0"},
        {**CSV, "data.label_columns": "cat"},
        {**CSV, "data.fractions": (0.5, 0.5)},
        {**CSV, "data.fractions": (math.nan, 0.5, 0.5)},
        {**CSV, "data.fractions": (0.9, 0.5, 0.5)},
    ],
    ids=str,
)
def test_values_of_other_types_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=list(options)[-1]):
        TrainConfig().with_options(options)


def test_values_become_plain() -> None:
    config = TrainConfig().with_options(
        {"run.epochs": np.int64(3), "optimizer.ema": np.float32(0.5), **CSV}
    )
    plain = {"run.epochs": 3, "optimizer.ema": 0.5, "data": "csv", "data.root": "photos"}
    assert config == TrainConfig().with_options(plain)
    yaml.safe_dump(config.to_dict())
    again = dataclasses.replace(config.data, fractions=[0.5, 0.25, 0.25])
    assert again.fractions == (0.5, 0.25, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "end-to-end", "frozen_epochs": 3}, "frozen_epochs=3: not for mode=end-to-end"),
        ({"mode": "end-to-end", "frozen_start": "random"}, "frozen_start=random: not for mode"),
        ({**CSV, "pretrain_epochs": 3}, "pretrain_epochs=3: not for data=csv, only for scenes"),
        ({"mode": "end-to-end", "pretrain_images": 9}, "pretrain_images=9: not for mode="),
        ({"trials": 1, "tuning_seeds": 2}, "tuning_seeds=2: only with several trials"),
        ({"mode": "end-to-end", "loss.clip": 0.3}, "clip=0.3: not for loss=bce, only for asl"),
        ({**CSV, "data.preset": "coco"}, "preset=coco: not for data=csv"),
        ({"optimizer.lr": math.nan}, "lr=nan: give a finite number"),
        ({"train_fractions": math.nan}, "train_fractions=nan|train_fractions=.nan"),
        ({"mask_labels": math.nan}, "mask_labels=nan|mask_labels=.nan"),
        ({"missing.similarity_weight": 0.3}, "similarity_weight=0.3: not for missing.unknown"),
    ],
)
def test_options_of_a_benchmark_without_effect(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_config("graphs", **options)


def test_options_that_only_epochs_use_are_named() -> None:
    config = RECIPES["auto"]().with_options(CSV)
    assert given_for_epochs(config) == []
    assert given_for_epochs(config.with_options({"run.folds": 3, "head.hidden": 64})) == []
    given = {
        "loss": "asl",
        "loss.label_smoothing": 0.3,
        "distillation.teacher": Path("teacher"),
        "images.augmentation": "strong",
        "optimizer.lr": "find",
        "optimizer.weight_decay": 0.5,
        "optimizer.ema": 0.9,
        "head.residual_decay": 0.5,
        "run.batch_size": 8,
        "run.patience": 3,
        "run.keep": "best",
    }
    found = dict(each.split("=") for each in given_for_epochs(config.with_options(given)))
    named = {"loss.name" if name == "loss" else name: str(value) for name, value in given.items()}
    assert found.pop("distillation.teacher").endswith("teacher")
    del named["distillation.teacher"]
    assert found == named


def test_what_auto_chose_without_epochs_is_not_named(tiny_csv: Path, tmp_path: Path) -> None:
    said: list[str] = []
    own = {
        "data": "csv",
        "data.root": tiny_csv,
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "encoder.freeze": "encoder",
        "images.size": 32,
        "images.cache_folder": tmp_path / "cache",
        "run.output": tmp_path / "run",
        "run.progress": False,
    }
    config = RECIPES["auto"]().with_options(own)
    train(config.with_options({"loss": "asl", "optimizer.lr": 0.01}), log=said.append)
    lines = [line for line in said if "no effect" in line]
    assert lines == ["no effect without epochs (--epochs N): loss.name=asl, optimizer.lr=0.01"]
    said.clear()
    again = {"loss": "bce", "optimizer.lr": None, "run.output": tmp_path / "again"}
    written = read_config(tmp_path / "run" / "config.yaml")
    train(written.with_options(again), log=said.append)
    assert not [line for line in said if "no effect" in line]
