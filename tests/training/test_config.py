from pathlib import Path

import pytest
import yaml

from gatlabel.errors import InputError
from gatlabel.training import RECIPES, TrainConfig, asl, mlgcn, plain, resolving
from gatlabel.training.config import OPTIONS, read_options
from gatlabel.training.options import config_from


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_config_survives_its_file(recipe: str, tmp_path: Path) -> None:
    config = RECIPES[recipe](data="csv", root=Path("pictures"), image_size=96)
    config.save(tmp_path / "config.yaml")
    assert config_from(read_options(tmp_path / "config.yaml")) == config


def test_recipes_are_what_their_papers_say() -> None:
    assert plain() == TrainConfig()
    paper = mlgcn()
    assert (paper.optimizer, paper.lr, paper.encoder_lr, paper.head) == ("sgd", 0.1, 0.1, "gcn")
    made = asl().resolved()
    assert (made.loss, made.gamma_negative, made.clip, made.ema) == ("asl", 4.0, 0.05, 0.9997)
    assert asl(epochs=3).epochs == 3


def test_an_unknown_option_in_a_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("epoch: 3\n")
    with pytest.raises(InputError, match=r"run.yaml: unknown option 'epoch'; .*'epochs'"):
        read_options(path)


@pytest.mark.parametrize("text", ["- a\n", "a: [", "just words"])
def test_a_broken_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"run\.yaml"):
        read_options(path)


@pytest.mark.parametrize(
    ("option", "value"),
    [("lr", "fast"), ("epochs", 1.5), ("head", "gatt"), ("freeze", "perhaps"), ("data", 3)],
)
def test_a_value_of_the_wrong_type_is_named(option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"--{option}"):
        config_from({option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("epochs", -1), ("lr", 0.0), ("ema", 1.0), ("workers", -1)),
        *(("hidden", 0), ("clip", -0.1), ("seed", 2**64)),
    ],
)
def test_a_value_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(InputError, match=option):
        TrainConfig(**{option: value})


def test_a_data_set_of_files_needs_its_root() -> None:
    with pytest.raises(InputError, match="root"):
        TrainConfig(data="csv")


def test_choices_left_open_are_made_before_a_run() -> None:
    open_choices = plain()
    made = open_choices.resolved()
    assert made.backbone != "auto"
    assert (made.image_size, made.epochs, made.pooling) == (96, 4, "gem")
    assert (made.stride, made.encoder_lr) == (16, 1.0)
    assert plain(backbone="resnet18").resolved().stride is None
    assert made.resolved() == made
    files = plain(data="csv", root=Path("x")).resolved()
    assert (files.epochs, files.stride, files.encoder_lr) == (12, None, 0.1)
    assert plain(epochs=7, image_size=64).resolved().epochs == 7


@pytest.mark.parametrize("lite", [False, True])
def test_files_are_named_in_full_whatever_is_installed(lite, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(resolving, "_installed", lambda *modules: lite)
    monkeypatch.chdir(tmp_path)
    Path("own.pth").write_bytes(b"weights")
    assert plain(weights="own.pth").resolved().weights == str(tmp_path / "own.pth")
    made = plain().resolved()
    assert made.backbone == ("efficientnet_lite0" if lite else "resnet18")
    assert made.weights == ("default" if lite else "none")


def test_yaml_may_say_that_there_is_no_validation_set(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("data: voc\nroot: voc\ntrain_set: trainval\nval_set: no\n")
    assert config_from(read_options(tmp_path / "run.yaml")).val_set == "no"


def test_a_file_older_than_an_option_can_be_read(tmp_path: Path) -> None:
    config = plain(head="query")
    older = config.to_dict()
    for name in ("decoder_layers", "self_attention", "lam"):
        del older[name]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**older, "layers": 5}))
    assert config_from(read_options(tmp_path / "config.yaml")) == plain(head="query", layers=5)


def test_every_option_is_a_primitive_in_yaml() -> None:
    assert set(yaml.safe_load(yaml.safe_dump(TrainConfig().to_dict()))) == set(OPTIONS)
