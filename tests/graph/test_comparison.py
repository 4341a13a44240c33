import networkx
import numpy as np
import pytest
import torch
from matplotlib import image

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph, compare, draw_comparison
from gatlabel.graph.layout import communities, placed

NAMES = ["a", "b", "c", "d"]
ONE = LabelGraph.from_edges([("a", "b", 0.5), ("b", "a", 1.5), ("a", "c", 1.0)], NAMES)
TWO = LabelGraph.from_edges([("a", "b"), ("c", "d")], ["d", "c", "b", "a"])


def random_graph(labels: int, edges: int, groups: int = 6, seed: int = 0) -> LabelGraph:
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, labels, (4 * edges, 2))
    alike = (pairs[:, 0] % groups == pairs[:, 1] % groups) | (rng.random(len(pairs)) < 0.05)
    kept = np.unique(pairs[alike & (pairs[:, 0] != pairs[:, 1])], axis=0)[:edges]
    names = [f"label number {k}" for k in range(labels)]
    return LabelGraph(names, kept.T, rng.random(len(kept)))


def test_summaries() -> None:
    row = compare({"one": ONE, "two": TWO}).rows[0]
    assert (row.labels, row.edges, row.density) == (4, 3, 0.25)
    assert (row.degree_min, row.degree_median, row.degree_max, row.isolated) == (0, 1, 1, 1)
    assert (row.reciprocity, row.components, row.mean_weight) == pytest.approx((2 / 3, 2, 1.0))
    assert row.largest_share == pytest.approx(2 / 3)


def test_summaries_agree_with_networkx() -> None:
    graph = random_graph(40, 120)
    row, other = compare({"g": graph}).rows[0], graph.to_networkx()
    assert row.density == pytest.approx(networkx.density(other))
    assert row.reciprocity == pytest.approx(networkx.overall_reciprocity(other))
    assert row.components == networkx.number_weakly_connected_components(other)
    assert row.degree_max == max(degree for _, degree in other.in_degree())


def test_overlap_is_by_name_and_leaves_self_loops_out() -> None:
    looped = LabelGraph.from_dense(TWO.to_dense() + torch.eye(4), TWO.names, self_loops=True)
    overlap = compare({"one": ONE, "two": TWO, "looped": looped}).overlap
    assert overlap["one"]["two"] == overlap["two"]["one"] == pytest.approx(1 / 4)
    assert overlap["one"]["looped"] == pytest.approx(1 / 4)
    assert overlap["two"]["looped"] == overlap["one"]["one"] == 1.0


def test_graphs_without_edges_or_labels() -> None:
    none = LabelGraph(NAMES, [])
    comparison = compare({"none": none, "one": ONE})
    assert comparison.overlap["none"] == {"none": 1.0, "one": 0.0}
    assert comparison.rows[0].components == 4
    assert compare({"empty": LabelGraph([], [])}).rows[0].edges == 0


def test_table() -> None:
    table = compare({"one": ONE, "second": TWO}).table()
    lines = table.splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    assert "| one    | 3     | 0.250   | 0/1/1" in lines[2]
    assert "1 of 4" in lines[2]
    assert "| second                 | 0.25 | 1.00   |" in table


def test_bad_comparisons(tmp_path) -> None:
    with pytest.raises(InputError, match="no graph to compare"):
        compare({})
    with pytest.raises(InputError, match="labels of the graph 'x' do not match"):
        compare({"one": ONE, "x": LabelGraph(["a"], [])})
    with pytest.raises(InputError, match="no graph to draw"):
        draw_comparison({}, tmp_path / "g.png")
    with pytest.raises(InputError, match=r"g\.jpg: use the suffix \.png"):
        ONE.draw(tmp_path / "g.jpg")


def box_overlaps(graph: LabelGraph) -> int:
    place = placed(graph, communities(graph))
    width = np.array([0.55 * min(len(name), 24) for name in graph.names])
    over_x = np.abs(place[:, None, 0] - place[None, :, 0]) < (width[:, None] + width) / 2
    over_y = np.abs(place[:, None, 1] - place[None, :, 1]) < 1.0
    return int(np.triu(over_x & over_y, 1).sum())


@pytest.mark.parametrize(("labels", "edges"), [(1, 0), (2, 1), (20, 60), (80, 300), (80, 20)])
def test_names_do_not_overlap(labels: int, edges: int) -> None:
    assert box_overlaps(random_graph(labels, edges)) == 0


def test_communities_are_found() -> None:
    found = communities(random_graph(60, 300, groups=3))
    # almost all edges are within the residues modulo 3
    assert [len(set(members % 3)) for members in found[:3]] == [1, 1, 1]


@pytest.mark.parametrize("labels", [0, 1, 20, 200])
def test_drawings_have_content(tmp_path, labels: int) -> None:
    graph = random_graph(labels, 3 * labels) if labels > 1 else LabelGraph(["a"] * labels, [])
    graph.draw(tmp_path / "g.png")
    photo = image.imread(tmp_path / "g.png")[..., :3]
    assert min(photo.shape[:2]) > 300
    assert (photo.min(-1) < 0.9).any()


def test_names_are_not_read_as_formulas_and_pyplot_stays_out(tmp_path) -> None:
    import sys

    before = "matplotlib.pyplot" in sys.modules
    LabelGraph.from_edges([("$x_{", "a_b^c$")]).draw(tmp_path / "g.svg", title="$1 & <b>")
    assert "<svg" in (tmp_path / "g.svg").read_text()
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_comparison_drawing(tmp_path) -> None:
    draw_comparison({"one": ONE, "two": TWO}, tmp_path / "g.png")
    height, width = image.imread(tmp_path / "g.png").shape[:2]
    assert width > 1.8 * height


def test_a_large_graph_is_named_by_its_hubs(tmp_path) -> None:
    random_graph(300, 1500).draw(tmp_path / "g.svg")
    counts = Cooccurrence.from_targets(np.ones((2, 3)), ["x", "y", "z"])
    counts.graph("complete").draw(tmp_path / "small.pdf")
    assert (tmp_path / "small.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "g.svg").stat().st_size > 10_000
