"""The options of a benchmark, and which of them make another one."""

import pytest

from gatlabel.experiments import make_config
from gatlabel.experiments.protocol import protocol_of
from gatlabel.training import TrainConfig, resolving
from tests.experiments.synthetic import benchmark, config


def test_another_automatic_encoder_makes_another_benchmark(monkeypatch) -> None:
    found = []
    for installed in (True, False):
        monkeypatch.setattr(resolving, "_installed", lambda *modules, one=installed: one)
        train = make_config("graphs", data="scenes").fixed()["train"]
        found.append((train["backbone"], train["stride"], train["weights"]))
    assert found == [("efficientnet_lite0", 16, "default"), ("resnet18", 16, "none")]


@pytest.mark.parametrize("given", [{}, {"root": None, "classes": None}])
def test_no_path_is_no_path(given) -> None:
    config = make_config("heads", data="scenes", **given)
    assert config.train.root is None
    assert config.train.classes is None


def test_the_protocol_says_what_the_splits_were_for(tmp_path) -> None:
    task, _ = benchmark(tmp_path)
    options = config(tmp_path / "out")
    assert protocol_of(options, task, [{}, {}], 1, [])["splits"] == task.roles.note
    untuned = protocol_of(options, task, [{}], 1, [])["splits"]
    assert untuned == "figures of test, which nothing was chosen by"


def test_what_frozen_features_leave_unused_is_named() -> None:
    given = {"lr": 0.1, "amp": "on", "hidden": 8}
    photographs = make_config("graphs", data="csv", root="pictures", **given)
    assert photographs.unused() == "lr, amp; mode end-to-end uses them"
    assert "encoder of the scenes" in make_config("graphs", **given).unused()
    assert make_config("graphs", mode="end-to-end", **given).unused() == ""
    assert make_config("graphs").unused() == ""


def test_an_untuned_benchmark_names_its_one_setting(tmp_path) -> None:
    task, _ = benchmark(tmp_path)
    one = [{"lr": 1e-3, "weight_decay": 1.0, "shrinkage": 0.99}]
    frozen = protocol_of(config(tmp_path, train=TrainConfig(lr=0.1)), task, one, 1, [])
    assert frozen["tuning"] == "none, for all lr 0.001, weight_decay 1, shrinkage 0.99"
    assert frozen["not used on frozen features"].startswith("lr, but")
    whole = protocol_of(config(tmp_path, mode="end-to-end"), task, one, 1, [])
    assert whole["tuning"] == "none, the recipe's own options for all"
    assert "not used on frozen features" not in whole
