"""Every head is made from the options of a run."""

import dataclasses
from typing import get_args, get_type_hints

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.nn import HEADS, ConditionedHead
from gatlabel.training.building import build_graph, head_options
from gatlabel.training.config import TrainConfig

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
