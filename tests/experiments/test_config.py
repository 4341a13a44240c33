"""The options of a benchmark, and which of them make another one."""

import json
from pathlib import Path

import numpy as np
import pytest

from gatlabel.errors import InputError
from gatlabel.experiments import BenchmarkConfig, make_config
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


def test_what_none_of_the_heads_takes_is_named(tmp_path) -> None:
    assert make_config("heads", lam=0.3, decoder_layers=2, self_attention=True).untaken() == ""
    task, _ = benchmark(tmp_path)
    train = TrainConfig(lam=0.3, layers=3, steps=1)
    options = config(tmp_path, heads=("csra",), train=train)
    assert options.untaken() == "layers, steps"
    assert protocol_of(options, task, [{}], 1, [])["not taken by any head"] == "layers, steps"


def test_an_untuned_benchmark_names_its_one_setting(tmp_path) -> None:
    task, _ = benchmark(tmp_path)
    one = [{"lr": 1e-3, "weight_decay": 1.0, "shrinkage": 0.99}]
    frozen = protocol_of(config(tmp_path, train=TrainConfig(lr=0.1)), task, one, 1, [])
    assert frozen["tuning"] == "none, for all lr 0.001, weight_decay 1, shrinkage 0.99"
    assert frozen["not used on frozen features"].startswith("lr, but")
    whole = protocol_of(config(tmp_path, mode="end-to-end"), task, one, 1, [])
    assert whole["tuning"] == "none, the recipe's own options for all"
    assert "not used on frozen features" not in whole


def test_a_lone_word_or_number_is_a_list_of_one() -> None:
    found = make_config(
        "graphs", graphs="npmi", heads="gcn", hide_labels=0.5, train_fractions=1, unknown="prior"
    )
    assert (found.graphs, found.heads, found.unknown) == (("npmi",), ("gcn",), ("prior",))
    assert (found.hide_labels, found.train_fractions) == ((0.5,), (1.0,))
    assert make_config("graphs", hide_labels="single").hide_labels == ("single",)
    assert BenchmarkConfig(graphs="npmi") == BenchmarkConfig(graphs=("npmi",))
    assert make_config("graphs", graphs=Path("pets.json")).graphs == ("pets.json",)


def test_numbers_may_come_from_numpy() -> None:
    found = make_config("graphs", train_fractions=np.array([0.1, 1]), seeds=np.int64(2))
    assert found == make_config("graphs", train_fractions=[0.1, 1.0], seeds=2)
    json.dumps(found.fixed())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"graphs": 3}, "graphs=3: give a name, or a list of names"),
        ({"graphs": None}, "graphs=None: give a name"),
        ({"heads": ["gat", 2]}, "heads=2: give a name"),
        ({"heads": "gta"}, "unknown head 'gta'; did you mean 'gat'"),
        ({"unknown": [True]}, "unknown=True: give a name"),
        ({"hide_labels": ["0.5"]}, "hide_labels='0.5': give a number, .*, or single"),
        ({"hide_labels": [[0.5]]}, r"hide_labels=\[0.5\]: give a number"),
        ({"train_fractions": "0.3"}, "train_fractions='0.3': give a number"),
        ({"train_fractions": True}, "train_fractions=True: give a number"),
        ({"train_fractions": []}, "train_fractions: give at least one"),
        ({"seeds": "3"}, "seeds='3': give a whole number"),
        ({"resamples": 200.5}, "resamples=200.5: give a whole number"),
        ({"seeds": None}, "seeds=None: give a whole number"),
        ({"trials": True}, "trials=True: give a whole number"),
        ({"mode": "forzen"}, "unknown mode 'forzen'; did you mean 'frozen'"),
    ],
)
def test_values_of_the_wrong_type_are_named(given, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_config("graphs", **given)


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="unknown kind 'graph'; did you mean 'graphs'"):
        make_config("graph")


def test_benchmarks_of_earlier_versions_go_on() -> None:
    """Options that came later do not appear among those that decide, unless they are given."""
    later = {"init", "minus_one", "on_nan", "max_pixels", "start"}
    assert not later & make_config("graphs").fixed()["train"].keys()
    with pytest.raises(InputError, match="init=runs/a: not for benchmarks"):
        make_config("graphs", init=Path("runs/a"))
    with pytest.raises(InputError, match="start=ridge: not for benchmarks"):
        make_config("graphs", start="ridge")
