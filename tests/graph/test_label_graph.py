import json

import networkx
import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph

pyg_nn = pytest.importorskip("torch_geometric.nn")  # hushes PyG's warnings on import
Data = pytest.importorskip("torch_geometric.data").Data

NAMES = ["fork", "knife", "table", "cow"]
EDGES = [("fork", "knife", 0.1), ("knife", "fork", 1 / 3), ("fork", "table", 2.0)]


def a_graph(**keywords) -> LabelGraph:
    return LabelGraph.from_edges(
        EDGES, NAMES, variant="conditional", options={"top_k": 2, "threshold": None}, **keywords
    )


def with_self_loops() -> LabelGraph:
    targets = np.random.default_rng(0).integers(0, 2, (30, 4))
    return Cooccurrence.from_targets(targets, NAMES).graph("mlgcn_code", tau=0.3)


def test_rows_of_the_matrix_are_targets() -> None:
    graph = a_graph()
    assert graph.to_dense()[1, 0] == pytest.approx(0.1)  # fork -> knife
    assert graph.edge_index.tolist() == [[1, 0, 0], [0, 1, 2]]  # by target, then source
    assert graph.edge_weight.tolist() == pytest.approx([1 / 3, 0.1, 2.0])
    assert LabelGraph.from_dense(graph.to_dense(), NAMES) == graph


def test_degrees_and_isolated_labels() -> None:
    graph = a_graph()
    assert graph.in_degree.tolist() == [1, 1, 1, 0]
    assert graph.out_degree.tolist() == [2, 1, 0, 0]
    assert graph.isolated == ("cow",)
    alone = LabelGraph.from_dense(torch.eye(4), NAMES, self_loops=True)
    assert alone.isolated == tuple(NAMES)  # itself is no neighbour


def test_repr() -> None:
    assert repr(a_graph()) == (
        "LabelGraph(4 labels, 3 edges, in-degree 0–1 (median 1), 1 isolated, conditional, top_k=2)"
    )
    assert "with self-loops" in repr(with_self_loops())
    assert repr(LabelGraph([], torch.zeros(2, 0))) == "LabelGraph(0 labels, 0 edges, 0 isolated)"


def test_no_edges() -> None:
    graph = LabelGraph(NAMES, torch.zeros(2, 0))
    assert graph.edge_index.shape == (2, 0)
    assert graph.edge_index.dtype == torch.int64
    assert LabelGraph(NAMES, []) == graph == LabelGraph.from_dense(np.zeros((4, 4)), NAMES)


def of_similarity() -> LabelGraph:
    return a_graph(relation="similarity")


@pytest.mark.parametrize("make", [a_graph, with_self_loops, of_similarity])
def test_round_trips(make, tmp_path) -> None:
    graph = make()
    graph.save(tmp_path / "graph.json")
    for again in (
        LabelGraph.load(tmp_path / "graph.json"),
        LabelGraph.from_networkx(graph.to_networkx()),
    ):
        assert again == graph
        assert (again.variant, again.options) == (graph.variant, graph.options)
        assert again.relation == graph.relation
    assert LabelGraph.from_pyg(graph.to_pyg()) == graph
    assert LabelGraph.from_pyg(graph.to_pyg()).relation == graph.relation
    assert graph.reorder(NAMES[::-1]).relation == graph.relation
    assert LabelGraph.from_pyg(graph.to_pyg(), NAMES) == graph


def test_edges_mean_cooccurrence_unless_they_mean_similarity(tmp_path) -> None:
    assert a_graph().relation == "cooccurrence"
    assert "similarity" in repr(of_similarity())
    assert "similarity" not in repr(a_graph())
    with pytest.raises(InputError, match=r"relation .* 'similar'; did you mean 'similarity'"):
        a_graph(relation="similar")
    assert of_similarity() != a_graph()
    with pytest.raises(InputError, match="relation of a label graph '3'"):
        a_graph(relation=3)
    # what others call a relation is another thing
    foreign = a_graph().to_networkx()
    foreign.graph["relation"] = "hypernym"
    assert LabelGraph.from_networkx(foreign) == a_graph()
    data = a_graph().to_pyg()
    data.relation = torch.tensor([1, 2])
    assert LabelGraph.from_pyg(data) == a_graph()
    # the oldest files do not tell
    a_graph().save(tmp_path / "old.json")
    content = json.loads((tmp_path / "old.json").read_text())
    del content["relation"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert LabelGraph.load(tmp_path / "old.json").relation == "cooccurrence"
    (tmp_path / "edges.csv").write_text("fork,knife\n")
    read = LabelGraph.from_edge_file(tmp_path / "edges.csv", relation="similarity")
    assert read.relation == "similarity"


def test_label_counts_are_kept_and_saved(tmp_path) -> None:
    targets = [[1, 1, 0, -1], [0, 1, 0, 1], [1, 1, 0, 0]]
    counts = Cooccurrence.from_targets(targets, NAMES)
    for graph in (counts.graph("complete"), a_graph().with_counts(counts.reorder(NAMES[::-1]))):
        graph.save(tmp_path / "graph.json")
        again = LabelGraph.load(tmp_path / "graph.json")
        assert again.counts is None  # pairs are not saved
        assert torch.equal(again.base_rates, torch.from_numpy(counts.base_rates))
        assert again.label_counts.present.tolist() == [2, 3, 0, 1]
        assert again.label_counts.known.tolist() == [3, 3, 3, 2]
        moved = again.reorder(NAMES[::-1])
        assert torch.equal(moved.base_rates, again.base_rates.flip(0))
    assert a_graph().base_rates is None
    few = Cooccurrence.from_counts([1, 1, 0, 0], [[0, 1, 1]], None, NAMES).graph("complete")
    few.save(tmp_path / "graph.json")
    assert LabelGraph.load(tmp_path / "graph.json").label_counts.present.tolist() == [1, 1, 0, 0]
    assert LabelGraph.load(tmp_path / "graph.json").base_rates is None
    with pytest.raises(AttributeError):
        few.counts = counts


@pytest.mark.parametrize(("old", "new"), [("company", "cooccurrence"), ("kin", "similarity")])
def test_files_of_the_first_format_are_read(tmp_path, old: str, new: str) -> None:
    content = {
        "format": "gatlabel.label-graph/1",
        "variant": "knn",
        "options": {"vectors": "names", "k": 1},
        "relation": old,
        "self_loops": False,
        "names": ["fork", "knife"],
        "edges": [[0, 1, 0.5]],
    }
    (tmp_path / "graph.json").write_text(json.dumps(content))
    graph = LabelGraph.load(tmp_path / "graph.json")
    assert graph == LabelGraph.from_edges([("fork", "knife", 0.5)], relation=new)
    assert graph.label_counts is None
    assert graph.base_rates is None
    assert graph.options == {"vectors": "names", "k": 1}


def test_odd_weights_survive_the_file(tmp_path) -> None:
    weights = torch.tensor([1e-38, 3.4e38, -0.1, 1 / 3])
    graph = LabelGraph(NAMES, [[0, 1, 2, 3], [1, 2, 3, 0]], weights)
    graph.save(tmp_path / "graph.json")
    assert torch.equal(LabelGraph.load(tmp_path / "graph.json").edge_weight, graph.edge_weight)


def test_reorder_moves_everything_along() -> None:
    features = torch.arange(8.0).reshape(4, 2)
    counts = Cooccurrence.from_counts([3, 2, 1, 0], [[0, 1, 2]], 5, NAMES)
    graph = a_graph(node_features=features, counts=counts)
    order = ["cow", "table", "knife", "fork"]
    moved = graph.reorder(order)
    index = [3, 2, 1, 0]
    torch.testing.assert_close(moved.to_dense(), graph.to_dense()[index][:, index])
    assert moved.node_features.tolist() == features[index].tolist()
    assert moved.counts.label_counts.tolist() == [0, 1, 2, 3]
    assert moved.reorder(NAMES) == graph
    with pytest.raises(InputError, match="missing: 'dog'; extra: 'cow'"):
        graph.reorder(["dog", "table", "knife", "fork"])


def test_networkx_conventions() -> None:
    converted = a_graph().to_networkx()
    assert list(converted.nodes) == NAMES
    assert converted.edges["fork", "table"]["weight"] == 2.0

    both_ways = networkx.Graph([("b", "a"), ("b", "c", {"weight": 0.5})])
    graph = LabelGraph.from_networkx(both_ways)
    assert graph.names == ("b", "a", "c")
    assert graph.to_dense().tolist() == [[0, 1, 0.5], [1, 0, 0], [0.5, 0, 0]]
    assert LabelGraph.from_networkx(both_ways, ["a", "b", "c"]) == graph.reorder(["a", "b", "c"])


def test_networkx_agrees_with_its_own_matrix() -> None:
    random = networkx.gnp_random_graph(15, 0.3, seed=0, directed=True)
    named = networkx.relabel_nodes(random, {k: f"n{k}" for k in random})
    matrix = networkx.to_numpy_array(named)  # [source, target]
    np.testing.assert_array_equal(LabelGraph.from_networkx(named).to_dense().numpy(), matrix.T)


@pytest.mark.parametrize(
    ("graph", "names", "message"),
    [
        (networkx.DiGraph([("a", "b")]), ["a"], r"1 nodes .* \('b'\).*hierarchy_graph"),
        (networkx.DiGraph([("a", "b")]), ["a", "b", "c"], "missing|extra"),
        (networkx.DiGraph([("a", "a")]), None, "'a' -> 'a' is a self-loop"),
        (networkx.MultiDiGraph([("a", "b")]), None, "parallel"),
        (networkx.DiGraph([("a", "b", {"weight": "x"})]), None, "weight 'x'"),
        (networkx.DiGraph([("a", "b", {"weight": np.nan})]), None, "weight nan"),
    ],
)
def test_bad_networkx_graphs(graph, names, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelGraph.from_networkx(graph, names)


def test_pyg_conventions() -> None:
    features = torch.rand(4, 3)
    data = a_graph(node_features=features).to_pyg()
    assert data.validate()
    assert (data.num_nodes, data.num_edges, data.names) == (4, 3, NAMES)
    assert torch.equal(LabelGraph.from_pyg(data).node_features, features)
    assert a_graph().to_pyg().num_nodes == 4  # the isolated last node is not lost
    bare = LabelGraph.from_pyg(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=4), NAMES)
    assert bare.edge_weight.tolist() == [1.0]
    with pytest.raises(InputError, match="no label names"):
        LabelGraph.from_pyg(Data(edge_index=torch.tensor([[0], [1]])))
    with pytest.raises(InputError, match="2 nodes for 4"):
        LabelGraph.from_pyg(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2), NAMES)
    fewer = LabelGraph.from_pyg(Data(edge_index=torch.tensor([[0], [1]])), NAMES)
    assert fewer.names == tuple(NAMES)


def test_message_passing_of_pyg_agrees_with_the_matrix() -> None:
    graph, x = with_self_loops(), torch.rand(4, 3)
    summed = pyg_nn.SimpleConv(aggr="sum")(x, graph.edge_index, graph.edge_weight)
    torch.testing.assert_close(summed, graph.to_dense() @ x)


@pytest.mark.parametrize(
    ("index", "weight", "message"),
    [
        ([[0, 1]], None, r"shape \(1, 2\)"),
        ([[0.0], [1.0]], None, "integers"),
        ([[0], [4]], None, r"edge 0 is \[0, 4\]: labels are numbered 0 to 3"),
        ([[-1], [1]], None, r"\[-1, 1\]"),
        ([[0], [1]], [1.0, 2.0], r"edge_weight has shape \(2,\)"),
        ([[0], [1]], [float("inf")], "'fork' -> 'knife' has the weight inf"),
        ([[0], [0]], None, "'fork' -> 'fork' is a self-loop"),
        ([[0, 2, 0], [1, 1, 1]], None, "'fork' -> 'knife' appears more than once"),
    ],
)
def test_bad_edges_are_named(index, weight, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelGraph(NAMES, index, weight)


def test_other_bad_input() -> None:
    with pytest.raises(InputError, match=r"shape \(3, 3\), expected \(4, 4\)"):
        LabelGraph.from_dense(np.zeros((3, 3)), NAMES)
    with pytest.raises(InputError, match="has the weight nan"):
        LabelGraph.from_dense([[0, float("nan")], [0, 0]], ["fork", "knife"])
    with pytest.raises(InputError, match="unknown label 'knive'; did you mean 'knife'"):
        LabelGraph.from_edges([("fork", "knive")], NAMES)
    with pytest.raises(InputError, match="3 rows for 4 labels"):
        a_graph(node_features=torch.rand(3, 2))


def test_a_weight_that_float32_cannot_hold() -> None:
    with pytest.raises(InputError, match="weight inf"):
        LabelGraph(NAMES, [[0], [1]], torch.tensor([1e300], dtype=torch.float64))


def test_graphs_are_equal_by_content() -> None:
    assert a_graph() == a_graph()
    assert a_graph() != LabelGraph.from_edges(EDGES[:2], NAMES)
    assert a_graph() != "graph"
    assert a_graph() != LabelGraph.from_edges(EDGES, [*NAMES, "dog"])
