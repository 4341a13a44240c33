"""The permuted control: another labelling of the same graph."""

import networkx as nx
import pytest
import torch

from gatlabel.graph import Cooccurrence, LabelGraph, permuted

NAMES = ["a", "b", "c", "d", "e", "f"]


@pytest.fixture
def graph() -> LabelGraph:
    edges = [("a", "b", 0.5), ("b", "c", 0.25), ("a", "c", 0.125), ("d", "a", 1.0)]
    return LabelGraph.from_edges(edges, NAMES)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_same_graph_between_other_labels(graph: LabelGraph, seed: int) -> None:
    other = permuted(graph, seed)
    assert other.names == graph.names
    assert sorted(other.edge_weight.tolist()) == sorted(graph.edge_weight.tolist())
    match = nx.algorithms.isomorphism.numerical_edge_match("weight", 1.0)
    assert nx.is_isomorphic(graph.to_networkx(), other.to_networkx(), edge_match=match)
    assert other != graph
    assert permuted(graph, seed) == other


def test_seeds_differ(graph: LabelGraph) -> None:
    assert len({str(permuted(graph, seed).to_dense().tolist()) for seed in range(8)}) > 4


def test_no_label_keeps_its_place() -> None:
    # self-loops of different weight tell where each label went
    weights = torch.arange(1.0, 7.0)
    own = LabelGraph(NAMES, torch.arange(6).repeat(2, 1), weights, self_loops=True)
    moved = permuted(own, 3).to_dense().diagonal()
    assert (moved != weights).all()
    assert sorted(moved.tolist()) == weights.tolist()


def test_counts_stay_with_their_labels() -> None:
    counts = Cooccurrence.from_targets([[1, 1, 0], [0, 1, 1]], ["a", "b", "c"])
    assert permuted(counts.graph("complete"), 1).counts is counts
