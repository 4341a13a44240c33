"""The options of a benchmark, and which of them make another one."""

import pytest

from gatlabel.experiments import make_config
from gatlabel.training import resolving


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
