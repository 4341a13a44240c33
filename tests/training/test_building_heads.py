"""Every head is made from the options of a run."""

import dataclasses
import inspect

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.nn import HEADS, ConditionedHead
from gatlabel.nn.options import GAT, Query
from gatlabel.nn.options import HEADS as OPTIONS
from gatlabel.training.building import build_graph
from gatlabel.training.config import TrainConfig
from gatlabel.training.effects import refuse_without_effect
from gatlabel.training.similarity import ignores_similarity

NAMES = ["a", "b", "c"]
TARGETS = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]])


@pytest.fixture
def counts() -> Cooccurrence:
    return Cooccurrence.from_targets(TARGETS, NAMES)


def test_every_head_has_options() -> None:
    assert set(OPTIONS) == set(HEADS)
    assert all(OPTIONS[name]().name == name for name in OPTIONS)


@pytest.mark.parametrize("name", HEADS)
def test_options_of_a_run_reach_the_head(name: str, counts: Cooccurrence) -> None:
    given = {
        "head.hidden": 8,
        "head.heads": 2,
        "head.steps": 1,
        "head.dropout": 0.2,
        "head.conv": "SAGEConv",
    }
    own = {option: v for option, v in given.items() if hasattr(OPTIONS[name], option)}
    config = TrainConfig().with_options({"head": OPTIONS[name](**own)})
    head = HEADS[name](6, graph=counts.graph(), **config.head.arguments())
    assert {k: v for k, v in head.config.items() if k in given}.items() <= own.items()


@pytest.mark.parametrize("name", HEADS)
def test_options_left_open_are_the_heads_own(name: str, counts: Cooccurrence) -> None:
    graph = counts.graph()
    chosen = HEADS[name](
        6, graph=graph, **TrainConfig().with_options({"head": name}).head.arguments()
    )
    assert chosen.config == HEADS[name](6, graph=graph).config


def test_integers_reach_float_arguments_as_floats() -> None:
    options = TrainConfig().with_options({"head": "csra", "head.lam": 1}).head
    assert type(options.to_dict()["lam"]) is int  # config files keep the notation
    assert type(options.arguments()["lam"]) is float


def test_no_dropout_is_none_for_every_head() -> None:
    config = TrainConfig().with_options({"head": "query", "head.dropout": 0.0})
    assert config.head.arguments()["dropout"] == 0


@pytest.mark.parametrize("name", HEADS)
def test_every_option_of_a_head_is_one_that_it_has(name: str) -> None:
    own = inspect.signature(HEADS[name]).parameters
    for field in dataclasses.fields(OPTIONS[name]):
        argument = field.metadata.get("argument", False)
        argument = field.name if argument is True else argument
        assert not argument or argument in own
        if argument and field.default is not None:
            assert own[argument].default in (field.default, None)


def test_a_query_head_gets_its_decoder(counts: Cooccurrence) -> None:
    config = TrainConfig().with_options(
        {"head": Query(hidden=8, heads=2, layers=3, self_attention=True)}
    )
    refuse_without_effect(config)
    head = HEADS["query"](6, graph=counts.graph(), **config.head.arguments())
    assert len(head.decoder) == 3
    assert all(layer.among is not None for layer in head.decoder)


def test_a_csra_head_gets_its_weight(counts: Cooccurrence) -> None:
    for lam in (0.0, 0.4):
        config = TrainConfig().with_options({"head": "csra", "head.lam": lam})
        refuse_without_effect(config)
        assert HEADS["csra"](6, graph=counts.graph(), **config.head.arguments()).lam == lam


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head.lam": 0.3}, "lam=0.3: not for head=gat, only for csra"),
        ({"head": "query", "head.lam": 0.3}, "lam=0.3: not for head=query, only for csra"),
        ({"head": "csra", "head.self_attention": False}, "self_attention=False: not for head=csra"),
        (
            {"head": "gcn", "head.layers": 2},
            "layers=2: not for head=gcn, only for gat, gatv2, query",
        ),
        (
            {"head": "linear", "head.hidden": 2},
            "hidden=2: not for head=linear, only for gcn, gat, gatv2,",
        ),
        ({"head.layers": 3}, "layers=3: not for base=classifiers, only for nodes"),
        (
            {"head": "gcn", "head.base": "nodes"},
            "base=nodes: not for head=gcn, only for gat, gatv2",
        ),
        (
            {"head": "linear", "head.conv": "SAGEConv"},
            "conv=SAGEConv: not for head=linear, only for pyg",
        ),
        ({"head.steps": 1}, "steps=1: not for head=gat, only for conditioned"),
        (
            {"head": "linear", "head.similarity_weight": 0.5},
            "similarity_weight=0.5: not for head=linear, only for gat, gatv2, pyg",
        ),
    ],
)
def test_options_of_another_head_are_refused(options, message: str) -> None:
    with pytest.raises(InputError, match=f"^head.{message}"):
        TrainConfig().with_options(options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"head": "csra", "head.lam": -0.1}, "head.lam=-0.1: must be at least 0"),
        ({"head": "query", "head.layers": 0}, "head.layers=0: must be at least 1"),
        ({"head": "conditioned", "head.steps": -1}, "head.steps=-1: must be at least 0"),
    ],
)
def test_options_of_heads_out_of_range_are_refused(option, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig().with_options(option)


def test_a_graph_from_a_file_has_the_base_rates_of_the_data(tmp_path, counts) -> None:
    path = tmp_path / "graph.json"
    LabelGraph.from_edges([("a", "b")], names=["c", "b", "a"]).save(path)
    graph = build_graph(TrainConfig().with_options({"graph": str(path)}), counts)
    head = ConditionedHead(6, graph)
    expected = (TARGETS.sum(0) + 0.5) / (len(TARGETS) + 1)
    torch.testing.assert_close(head.base_rates, expected)


def test_the_random_control_of_similarity_is_of_similarity(tmp_path, counts: Cooccurrence) -> None:
    vectors = np.random.default_rng(0).random((len(counts.names), 3))
    np.savez(tmp_path / "vectors.npz", names=np.array(counts.names), vectors=vectors)
    options = f"vectors={tmp_path / 'vectors.npz'},k=2"
    own = build_graph(TrainConfig(graph=f"knn:{options}"), counts)
    control = build_graph(TrainConfig(graph=f"random:base=knn,{options}"), counts)
    assert own.relation == control.relation == "similarity"
    assert torch.equal(own.in_degree, control.in_degree)


def test_heads_that_cannot_share_classifiers_are_known() -> None:
    assert {name for name in HEADS if ignores_similarity(OPTIONS[name]())} == {"gcn", "conditioned"}
    assert ignores_similarity(GAT(base="nodes"))
    assert not ignores_similarity(OPTIONS["pyg"]())
