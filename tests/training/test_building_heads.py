"""Every head is made from the options of a run."""

import dataclasses
import inspect
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.nn import HEADS, ConditionedHead
from gatlabel.training import train
from gatlabel.training.building import build_graph, head_options
from gatlabel.training.config import TrainConfig
from gatlabel.training.head_options import (
    HEAD_OPTIONS,
    OWN_NAMES,
    SHARED,
    notes_on_options,
    refuse_untaken_options,
    takes_kin_for_company,
    untaken_options,
)

NAMES = ["a", "b", "c"]
TARGETS = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]])


@pytest.fixture
def counts() -> Cooccurrence:
    return Cooccurrence.from_targets(TARGETS, NAMES)


def test_the_command_line_knows_every_head() -> None:
    assert set(get_args(get_type_hints(TrainConfig)["head"])) == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_options_of_a_run_reach_the_head(name: str, counts: Cooccurrence) -> None:
    config = TrainConfig(head=name, hidden=8, heads=2, steps=1, dropout=0.2, conv="SAGEConv")
    head = HEADS[name](6, graph=counts.graph(), **head_options(config, name))
    set_by_run = {"hidden": 8, "heads": 2, "steps": 1, "dropout": 0.2, "conv": "SAGEConv"}
    assert {k: v for k, v in head.config.items() if k in set_by_run}.items() <= set_by_run.items()


@pytest.mark.parametrize("name", HEADS)
def test_options_left_open_are_the_heads_own(name: str, counts: Cooccurrence) -> None:
    graph = counts.graph()
    chosen = HEADS[name](6, graph=graph, **head_options(TrainConfig(head=name), name))
    assert chosen.config == HEADS[name](6, graph=graph).config


def test_no_dropout_is_none_for_every_head() -> None:
    assert head_options(TrainConfig(head="query", dropout=0.0), "query")["dropout"] == 0
    assert "dropout" not in head_options(TrainConfig(head="query"), "query")


def test_every_option_of_a_head_is_one_that_it_has() -> None:
    assert set(HEAD_OPTIONS) == set(HEADS)
    for name, options in HEAD_OPTIONS.items():
        own = inspect.signature(HEADS[name]).parameters
        assert {OWN_NAMES.get(option, option) for option in options} <= set(own)


def test_a_query_head_gets_its_decoder(counts: Cooccurrence) -> None:
    config = TrainConfig(head="query", hidden=8, heads=2, decoder_layers=3, self_attention=True)
    refuse_untaken_options(config)
    head = HEADS["query"](6, graph=counts.graph(), **head_options(config, "query"))
    assert len(head.decoder) == 3
    assert all(layer.among is not None for layer in head.decoder)


def test_a_csra_head_gets_its_weight(counts: Cooccurrence) -> None:
    for lam in (0.0, 0.4):
        config = TrainConfig(head="csra", lam=lam)
        refuse_untaken_options(config)
        assert HEADS["csra"](6, graph=counts.graph(), **head_options(config, "csra")).lam == lam


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": 0.3}, "lam=0.3: not for head=gat, only for csra"),
        ({"head": "query", "lam": 0.3}, "lam=0.3: not for head=query, only for csra"),
        ({"head": "csra", "self_attention": False}, "self_attention=False: not for head=csra"),
        ({"decoder_layers": 2}, "decoder_layers=2: not for head=gat, only for query"),
        (
            {"head": "query", "layers": 3},
            "layers=3: not for head=query, only for gat, gatv2; its layers are decoder_layers",
        ),
        ({"layers": 3}, "layers=3: not for base=classifiers, only for base=nodes"),
        ({"head": "gcn", "base": "nodes"}, "base=nodes: not for head=gcn, only for gat, gatv2"),
        (
            {"head": "linear", "conv": "SAGEConv"},
            "conv=SAGEConv: not for head=linear, only for pyg",
        ),
        ({"steps": 1}, "steps=1: not for head=gat, only for conditioned"),
        (
            {"head": "linear", "kinship": 0.5},
            "kinship=0.5: not for head=linear, only for gat, gatv2, pyg",
        ),
    ],
)
def test_options_of_another_head_are_refused(options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        refuse_untaken_options(TrainConfig(**options))
    with pytest.raises(InputError, match=message):
        train(TrainConfig(**options))


@pytest.mark.parametrize("head", HEADS)
def test_shared_options_are_for_a_series_of_heads(head: str) -> None:
    shared = {"node_features": "learned", "hidden": 8, "heads": 2, "dropout": 0.1}
    assert set(shared) == set(SHARED)
    refuse_untaken_options(TrainConfig(head=head))
    for name, value in shared.items():
        config = TrainConfig(head=head, **{name: value})
        refuse_untaken_options(config)
        note = f"note: {name}={value} is not used: the head {head} does not take it"
        assert notes_on_options(config) == ([] if name in HEAD_OPTIONS[head] else [note])


def test_one_of_several_heads_takes_an_option() -> None:
    config = TrainConfig(lam=0.3, base="nodes", layers=3, steps=1)
    assert untaken_options(config, ["csra", "gat", "conditioned"]) == []
    assert untaken_options(config, ["csra", "query"]) == ["base", "layers", "steps"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"lam": -0.1}, "lam=-0.1: must be at least 0"),
        ({"decoder_layers": 0}, "decoder_layers=0: must be at least 1"),
    ],
)
def test_options_of_heads_out_of_range_are_refused(option, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**option)


def test_negative_steps_are_refused() -> None:
    with pytest.raises(InputError, match="steps=-1: must be at least 0"):
        dataclasses.replace(TrainConfig(), steps=-1)


def test_a_graph_from_a_file_has_the_base_rates_of_the_data(tmp_path, counts) -> None:
    path = tmp_path / "graph.json"
    LabelGraph.from_edges([("a", "b")], names=["c", "b", "a"]).save(path)
    graph = build_graph(TrainConfig(graph=str(path)), counts)
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


def test_heads_that_cannot_let_kin_share_are_known() -> None:
    told = {head for head in HEADS if takes_kin_for_company(head, "classifiers")}
    assert told == {"gcn", "conditioned"}
    assert takes_kin_for_company("gat", "nodes")
    assert not takes_kin_for_company("pyg", "nodes")
