import json
from pathlib import Path

import networkx
import pytest

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph, hierarchy_graph, read_edges
from gatlabel.graph.hierarchy import read_hierarchy

NAMES = ["cat", "dog", "cow"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("e.csv", "source,target,weight\ncat,dog,0.5\ndog, cow\n"),
        ("e.csv", "\ufeffcat,dog,.5\r\n\r\n# a note\r\ndog,cow,\r\n"),
        ("e.tsv", "cat\tdog\t0.5\ndog\tcow\t1\n"),
        ("e.txt", "source\ttarget\tweight\ncat\tdog\t0.5\ndog\tcow\t1\n"),
    ],
)
def test_edge_files(tmp_path, file: str, text: str) -> None:
    path = tmp_path / file
    path.write_text(text, encoding="utf-8")
    graph = LabelGraph.from_edge_file(path, NAMES)
    assert graph == LabelGraph.from_edges([("cat", "dog", 0.5), ("dog", "cow")], NAMES)
    assert graph.options == {"file": file}
    both = LabelGraph.from_edge_file(path, NAMES, undirected=True)
    assert both.to_dense().tolist() == [[0, 0.5, 0], [0.5, 0, 1], [0, 1, 0]]
    assert LabelGraph.from_edge_file(path).names == ("cat", "dog", "cow")


def test_names_with_commas_are_quoted(tmp_path) -> None:
    (tmp_path / "e.csv").write_text('"cat, tabby",dog\n')
    assert read_edges(tmp_path / "e.csv") == [("cat, tabby", "dog", 1.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat,dog\ncat\n", r"e\.csv, line 2: expected source, target"),
        ("cat,dog,heavy\n", r"e\.csv, line 1: the weight 'heavy'"),
        ("cat,dog,nan\n", r"line 1: the weight 'nan'"),
        ("cat,dog\n,cow\n", "line 2"),
        ("cat,dog,1,2\n", "line 1"),
        ("cat,horse\n", r"e\.csv: 1 nodes are not labels \('horse'\)"),
        ("cat,dog\ncat,dog\n", r"e\.csv: the edge 'cat' -> 'dog' appears more than once"),
        ("cat,cat\n", r"e\.csv: the edge 'cat' -> 'cat' is a self-loop"),
    ],
)
def test_bad_rows_are_named(tmp_path, text: str, message: str) -> None:
    (tmp_path / "e.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        LabelGraph.from_edge_file(tmp_path / "e.csv", NAMES)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"cannot read the edge file .*none\.csv"):
        LabelGraph.from_edge_file(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"cannot read the label graph .*none\.json"):
        LabelGraph.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other/1"}, "not a label graph of format"),
        ({"edges": [[0, 1]]}, "graph.json"),
        ({"edges": [[0, 7, 1.0]]}, "labels are numbered 0 to 2"),
        ({"edges": [["a", 1, 1.0]]}, "graph.json"),
        ({"names": None}, "graph.json"),
        ({"edges": None}, "graph.json"),
    ],
)
def test_damaged_graph_files_are_named(tmp_path, change: dict, message: str) -> None:
    path = tmp_path / "graph.json"
    LabelGraph.from_edges([("cat", "dog")], NAMES).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as error:
        LabelGraph.load(path)
    assert "graph.json" in str(error.value)


def test_a_graph_file_without_names(tmp_path) -> None:
    path = tmp_path / "graph.json"
    LabelGraph.from_edges([("cat", "dog")], NAMES).save(path)
    content = json.loads(path.read_text())
    del content["names"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"graph\.json lacks 'names'"):
        LabelGraph.load(path)


IS_A = [
    ("cat", "feline"), ("lion", "feline"), ("feline", "carnivore"), ("dog", "canine"),
    ("canine", "carnivore"), ("carnivore", "mammal"), ("cow", "bovine"), ("bovine", "mammal"),
]  # fmt: skip


def test_hierarchy_connects_through_nodes_that_are_not_labels() -> None:
    graph = hierarchy_graph(IS_A, ["cat", "lion", "dog", "cow"], max_distance=4)
    dense = graph.to_dense().tolist()
    assert dense[0] == pytest.approx([0, 1 / 3, 1 / 5, 0])  # lion 2 steps, dog 4, cow 5
    assert graph.isolated == ("cow",)
    assert hierarchy_graph(IS_A, ["cat", "dog", "cow"], max_distance=5).isolated == ()


def test_neighbours_in_a_hierarchy_are_similar() -> None:
    graph = hierarchy_graph([("dog", "animal"), ("cat", "animal")], ["dog", "cat"])
    assert graph.relation == "similarity"


def test_hierarchy_keeps_the_nearest_and_equals_networkx() -> None:
    tree = networkx.balanced_tree(3, 3)
    names = [str(node) for node in tree if node % 2]
    graph = hierarchy_graph(tree, names, max_distance=3, top_k=None)
    distance = dict(networkx.all_pairs_shortest_path_length(tree))
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            d = distance[int(one)][int(two)]
            expected = 1 / (1 + d) if 0 < d <= 3 else 0
            assert graph.to_dense()[i, j] == pytest.approx(expected)
    nearest = hierarchy_graph(tree, names, max_distance=3, top_k=1)
    assert nearest.in_degree.max() == 1
    best = graph.to_dense().max(1).values
    assert nearest.to_dense().max(1).values.tolist() == best.tolist()


def test_bad_hierarchies() -> None:
    with pytest.raises(
        InputError, match="'cats' is not a node of the hierarchy; did you mean 'cat'"
    ):
        hierarchy_graph(IS_A, ["cats", "dog"])
    with pytest.raises(InputError, match="max_distance is 0"):
        hierarchy_graph(IS_A, ["cat", "dog"], max_distance=0)
    loop = [("cat", "animal"), ("dog", "animal"), ("animal", "being"), ("being", "cat")]
    with pytest.raises(InputError, match="has a cycle, cat -> animal -> being -> cat: each line"):
        hierarchy_graph(loop, ["cat", "dog"])
    with pytest.raises(InputError, match="has a cycle, cat -> cat"):
        hierarchy_graph([("cat", "cat"), ("cat", "animal"), ("dog", "animal")], ["cat", "dog"])
    # two parents with a common one are no cycle
    twice = [("cat", "pet"), ("cat", "feline"), ("pet", "animal"), ("feline", "animal")]
    assert hierarchy_graph([*twice, ("dog", "pet")], ["cat", "dog"]).to_dense()[0, 1] > 0


def test_a_hierarchy_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tree.csv"
    path.write_text("Child,Parent\ncat,feline\nlion,feline\n# dogs\ndog,canine\nfeline,canine\n")
    names = ["cat", "lion", "dog"]
    graph = read_hierarchy(path, names)
    edges = [("cat", "feline"), ("lion", "feline"), ("dog", "canine"), ("feline", "canine")]
    assert graph == hierarchy_graph(edges, names)
    with pytest.raises(InputError, match=r"tree.csv: label 'Child' is not a node"):
        read_hierarchy(path, ["Child"])
    path.write_text("child,parent\ncat,feline\nlion\n")
    with pytest.raises(InputError, match=r"tree.csv, line 3: expected child, parent\[, weight\]"):
        read_hierarchy(path, names)
