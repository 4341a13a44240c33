"""The options of a benchmark, and which of them make another one."""

import json
from pathlib import Path

import numpy as np
import pytest

from gatlabel.data.options import CSV
from gatlabel.errors import InputError
from gatlabel.experiments import BenchmarkConfig, make_config
from gatlabel.experiments.protocol import protocol_of
from gatlabel.nn.options import GAT
from gatlabel.training import TrainConfig, resolving
from tests.experiments.synthetic import benchmark, config


def test_another_automatic_encoder_makes_another_benchmark(monkeypatch) -> None:
    found = []
    for installed in (True, False):
        monkeypatch.setattr(resolving, "lite_is_installed", lambda one=installed: one)
        train = make_config("graphs", **{"data": "scenes"}).fixed()["train"]
        found.append([train[f"encoder.{name}"] for name in ("backbone", "stride", "weights")])
    assert found == [["efficientnet_lite0", 16, "default"], ["resnet18", 16, "none"]]


def test_the_protocol_describes_the_use_of_splits(tmp_path) -> None:
    task, _ = benchmark(tmp_path)
    options = config(tmp_path / "out")
    assert protocol_of(options, task, [{}, {}], 1, [])["splits"] == task.roles.note
    untuned = protocol_of(options, task, [{}], 1, [])["splits"]
    assert untuned == "metrics are of test, which was not used for any choice"


def test_what_frozen_features_leave_unused_is_named() -> None:
    given = {"optimizer.lr": 0.1, "run.amp": "on", "images.size": 32}
    photographs = make_config("graphs", data=CSV(root="images"), **given)
    assert photographs.unused() == "optimizer.lr, run.amp; mode end-to-end uses them"
    assert "encoder of the scenes" in make_config("graphs", **given).unused()
    assert make_config("graphs", mode="end-to-end", **given).unused() == ""
    assert make_config("graphs").unused() == ""


def test_heads_have_their_own_options() -> None:
    given = make_config("heads", heads=["csra:lam=0.3", GAT(hidden=8, heads=2), "linear"])
    assert given.heads == ("csra:lam=0.3", "gat:hidden=8,heads=2", "linear")
    assert given.head_options["csra"].arguments() == {"heads": 1, "lam": 0.3}
    assert given.head_options["gat"] == GAT(hidden=8, heads=2)
    assert given.fixed()["heads"] == list(given.heads)


def test_an_untuned_benchmark_names_its_one_setting(tmp_path) -> None:
    task, _ = benchmark(tmp_path)
    one = [{"lr": 1e-3, "weight_decay": 1.0, "shrinkage": 0.99}]
    frozen = protocol_of(
        config(tmp_path, train=TrainConfig().with_options({"optimizer.lr": 0.1})), task, one, 1, []
    )
    assert frozen["tuning"] == "none; all methods use lr 0.001, weight_decay 1, shrinkage 0.99"
    assert frozen["not used on frozen features"].startswith("optimizer.lr, but")
    whole = protocol_of(config(tmp_path, mode="end-to-end"), task, one, 1, [])
    assert whole["tuning"] == "none; all methods use the recipe's options"
    assert "not used on frozen features" not in whole


def test_a_lone_word_or_number_is_a_list_of_one() -> None:
    found = make_config(
        "graphs",
        graphs="npmi",
        heads="gcn",
        train_fractions=1,
        unknown="prior",
        mask_labels=0.5,
    )
    assert (found.graphs, found.heads, found.unknown) == (("npmi",), ("gcn",), ("prior",))
    assert (found.mask_labels, found.train_fractions) == ((0.5,), (1.0,))
    assert make_config("graphs", mask_labels="single").mask_labels == ("single",)
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
        ({"heads": "gat:lam=3"}, "heads.head.lam=3: not for heads.head=gat, only for csra"),
        ({"heads": "gat:hidden"}, "heads=gat:hidden: write options as gat:option=value"),
        ({"heads": ["gat", "gat:hidden=8"]}, "heads: duplicates are not allowed"),
        ({"heads": "gat:start=ridge"}, "start is not for benchmarks"),
        ({"unknown": [True]}, "unknown=True: give a name"),
        ({"mask_labels": ["0.5"]}, "mask_labels='0.5': give a number, .*, or single"),
        ({"mask_labels": [[0.5]]}, r"mask_labels=\[0.5\]: give a number"),
        ({"train_fractions": "0.3"}, "train_fractions='0.3': give a number"),
        ({"train_fractions": True}, "train_fractions=True: give a number"),
        ({"train_fractions": []}, "train_fractions: give at least one"),
        ({"seeds": "3"}, "seeds='3': give a whole number"),
        ({"seeds": None}, "seeds=None: give a whole number"),
        ({"trials": True}, "trials=True: give a whole number"),
        ({"mode": "forzen"}, "mode='forzen': give frozen or end-to-end; did you mean 'frozen'"),
        ({"sedes": 3}, "unknown option of a benchmark 'sedes'; did you mean 'seeds'"),
    ],
)
def test_values_of_the_wrong_type_are_named(given, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_config("graphs", **given)


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"kind='graph': give .*; did you mean 'graphs'"):
        make_config("graph")


def test_options_that_decide_nothing_or_that_benchmarks_do_not_have() -> None:
    decided = make_config("graphs").fixed()["train"]
    without = {
        "encoder.init",
        "images.cache",
        "run.workers",
        "run.keep",
        "recipe.name",
        "head.name",
    }
    assert not without & decided.keys()
    assert {"data.name", "optimizer.lr", "loss.name", "run.seed"} <= decided.keys()
    with pytest.raises(InputError, match="init=runs/a: not for benchmarks"):
        make_config("graphs", **{"encoder.init": Path("runs/a")})
