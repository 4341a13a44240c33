"""Who competes, and with whom each is compared."""

import os

import pytest

from gatlabel.errors import InputError
from gatlabel.experiments import make_config
from gatlabel.experiments.comparisons import pairs
from gatlabel.experiments.graphs import control_is_the_graph, make_graph, parse_graph, with_edges
from gatlabel.experiments.methods import Method, list_methods
from gatlabel.graph import Cooccurrence
from gatlabel.graph.spec import GraphSpec

COUNTS = Cooccurrence.from_targets(
    [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], ["a", "b", "c", "d"]
)


def titles(*arguments, **options) -> list[str]:
    return [method.title for method in list_methods(*arguments, **options)]


def test_every_control_is_always_in() -> None:
    assert titles(["gat"], ["npmi", "lift"]) == [
        "linear",
        "gat · no edges",
        "gat · npmi",
        "gat · npmi · random edges",
        "gat · npmi · permuted labels",
        "gat · npmi · edges ablated at test",
        "gat · lift",
        "gat · lift · random edges",
        "gat · lift · permuted labels",
        "gat · lift · edges ablated at test",
    ]


def test_a_control_that_changes_nothing_is_left_out() -> None:
    found = titles(["gat"], ["complete"], unchanged=[("complete", "random")])
    assert "gat · complete · random edges" not in found
    assert "gat · complete · permuted labels" in found


def test_heads_without_a_graph_have_no_controls() -> None:
    assert titles(["linear", "csra"], ["npmi"]) == ["linear", "csra"]


def test_keys_are_unique() -> None:
    found = list_methods(["gat", "csra"], ["npmi", "lift"], ["ignore", "prior", "complete"])
    assert len({method.key for method in found}) == len(found) == len(set(found))


def test_completion_has_controls_of_its_own() -> None:
    found = titles(["linear"], ["npmi"], ["ignore", "complete"])
    assert found == [
        "linear",
        "linear · npmi · unknown: complete",
        "linear · npmi · unknown: complete · completed with no edges",
        "linear · npmi · unknown: complete · completed with random edges",
    ]


def test_pairs_of_graphs() -> None:
    found = [(a.title, against, tested) for a, _, against, tested in pairs(
        list_methods(["gat"], ["npmi"])
    )]  # fmt: skip
    assert found == [
        ("gat · no edges", "linear", True),
        ("gat · npmi", "linear", True),
        ("gat · npmi", "no edges", True),
        ("gat · npmi", "random edges", True),
        ("gat · npmi", "permuted labels", True),
        ("gat · npmi", "edges ablated at test", True),
        ("gat · npmi · random edges", "linear", False),
        ("gat · npmi · random edges", "no edges", False),
        ("gat · npmi · permuted labels", "linear", False),
        ("gat · npmi · permuted labels", "no edges", False),
        ("gat · npmi · edges ablated at test", "linear", False),
        ("gat · npmi · edges ablated at test", "no edges", False),
    ]


def test_pairs_of_treatments_differ_in_nothing_else() -> None:
    everyone = list_methods(["linear", "gat"], ["npmi"], ["ignore", "complete"])
    found = {(a.title, against): b.title for a, b, against, tested in pairs(everyone) if tested}
    assert found["linear · npmi · unknown: complete", "ignore"] == "linear"
    assert found["gat · npmi · unknown: complete", "ignore"] == "gat · npmi"
    for against, end in (("completion with random edges", "random edges"),
                         ("completion without edges", "no edges")):  # fmt: skip
        theirs = found["linear · npmi · unknown: complete", against]
        assert theirs == f"linear · npmi · unknown: complete · completed with {end}"
    assert not any("completed with" in title for title, _ in found)


def test_ablated_is_trained_as_the_graph_itself() -> None:
    cut = Method("gat", "npmi", "ablated")
    assert cut.trained_as == Method("gat", "npmi")
    assert cut.is_control
    assert not cut.trained_as.is_control


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["gta"], ["npmi"]), "did you mean 'gat'"),
        ((["gat"], ["npmi"], ["ignor"]), "did you mean 'ignore'"),
        ((["gat"], []), "at least one graph"),
    ],
)
def test_wrong_names(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_methods(*arguments)


def test_graphs_take_options() -> None:
    built = make_graph("conditional:given=source,top_k=1", COUNTS)
    assert built == COUNTS.graph("conditional", given="source", top_k=1)
    assert make_graph("complete", COUNTS) == COUNTS.graph("complete")


@pytest.mark.parametrize(
    "path", [r"C:\graphs\pets.json", "C:/graphs/a=b.csv", "runs/12:30/graph.json", "random.json"]
)
def test_files_of_graphs_may_have_a_colon_in_their_path(path: str) -> None:
    assert parse_graph(path) == GraphSpec(path)
    assert make_config("graphs", graphs=path).graphs == (path,)


def test_the_file_of_an_option_is_not_that_of_a_graph() -> None:
    assert parse_graph("knn:vectors=words.txt") == GraphSpec("knn", {"vectors": "words.txt"})
    with pytest.raises(InputError, match="unknown graph variant 'knnn'; did you mean 'knn'"):
        make_config("graphs", graphs="knnn:vectors=words.txt")


@pytest.mark.skipif(os.name == "nt", reason="no colon in names of files")
def test_a_graph_is_read_from_a_path_with_a_colon(tmp_path) -> None:
    path = tmp_path / "12:30" / "pets.json"
    path.parent.mkdir()
    graph = COUNTS.graph("complete")
    graph.save(path)
    assert make_graph(str(path), COUNTS).to_dense().equal(graph.to_dense())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("npmi:3", "expected name=value"),
        ("random", "is a control"),
        ("permuted:seed=1", "is a control"),
        ("identity:seed=1", "identity cannot take 'seed': random, permuted can"),
        ("npni:top_k=3", "did you mean 'npmi'"),
        ("npmi:tpo_k=3", "top_k"),
        ("npmi:top_k=many", "'npmi:top_k=many': top_k='many': give a whole number"),
        ("npmi:top_k=[", "top_k='\\[': give a whole number"),
    ],
)
def test_wrong_graphs(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_graph(text, COUNTS)


def test_controls_keep_what_they_promise() -> None:
    graph = COUNTS.graph("conditional", top_k=2)
    random = with_edges(graph, "random", COUNTS, seed=3)
    assert random.in_degree.tolist() == graph.in_degree.tolist()
    assert random.out_degree.tolist() == graph.out_degree.tolist()
    assert with_edges(graph, "none", COUNTS, seed=3).num_edges == 0
    assert with_edges(graph, "permuted", COUNTS, seed=3).num_edges == graph.num_edges
    assert with_edges(graph, "own", COUNTS, seed=3) is graph
    complete = COUNTS.graph("complete")
    assert control_is_the_graph(complete, "random", COUNTS)
    assert control_is_the_graph(complete, "permuted", COUNTS)
    assert not control_is_the_graph(graph, "permuted", COUNTS)


@pytest.mark.parametrize("head", ["linear", "gat", "csra"])
@pytest.mark.parametrize(
    "unknown",
    [("ignore",), ("complete",), ("ignore", "complete"), ("complete", "ignore"),
     ("negative", "prior", "complete")],
)  # fmt: skip
def test_everyone_but_linear_is_compared_with_something(head, unknown) -> None:
    everyone = list_methods((head,), ("npmi", "lift"), unknown)
    alone = set(everyone) - {ours for ours, *_ in pairs(everyone)}
    assert alone <= {everyone[0]}


@pytest.mark.parametrize("head", ["linear", "gat"])
def test_controls_of_completion_are_shown_but_not_tested(head) -> None:
    everyone = list_methods((head,), ("npmi",), ("ignore", "complete"))
    found = [(a.completion, tested) for a, _, against, tested in pairs(everyone)
             if against == "ignore" and a.is_control]  # fmt: skip
    assert {"none", "random"} <= {completion for completion, _ in found}
    assert not any(tested for _, tested in found)
