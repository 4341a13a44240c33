"""The options of a benchmark, and which of them make another one."""

import pytest

from gatlabel.experiments import make_config
from gatlabel.experiments.protocol import protocol_of
from gatlabel.training import resolving
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
