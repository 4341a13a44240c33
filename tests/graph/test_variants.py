import functools
import json
import math

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.graph import (
    VARIANTS,
    Cooccurrence,
    IsolatedLabelsWarning,
    LabelGraph,
    permuted,
)
from gatlabel.graph.variants import make_variant
from tests.reference import label_graphs as reference

NAMES = ["fork", "knife", "table", "cow"]


def build(variant: str, counts: Cooccurrence, **options) -> LabelGraph:
    """As ``counts.graph``, without its warning of isolated labels."""
    return make_variant(variant, options).build(counts)


conditional, npmi, lift, knn, random, mlgcn_code, mlgcn_paper = (
    functools.partial(build, name)
    for name in ("conditional", "npmi", "lift", "knn", "random", "mlgcn_code", "mlgcn_paper")
)
# P(fork|knife) = 3/4, P(knife|fork) = 1, P(table|fork) = 2/3, P(fork|table) = 2/5, ...
COUNTS = Cooccurrence.from_counts(
    [3, 4, 5, 0], [[0, 1, 3], [0, 2, 2], [1, 2, 1]], images=10, names=NAMES
)


def some_counts(seed: int = 0, labels: int = 12, rows: int = 200, unknown: bool = False):
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, labels)) < rng.uniform(0.05, 0.5, labels)).astype(float)
    targets[:, 1] = np.where(rng.random(rows) < 0.8, targets[:, 0], targets[:, 1])
    if unknown:
        targets[rng.random(targets.shape) < 0.3] = -1
    return targets, Cooccurrence.from_targets(targets, [f"label {k}" for k in range(labels)])


def test_conditional_direction() -> None:
    source = conditional(COUNTS, given="source", threshold=0.01).to_dense()
    target = conditional(COUNTS, given="target", threshold=0.01).to_dense()
    fork, knife = 0, 1
    # the edge fork -> knife: row = target, column = source
    assert source[knife, fork] == pytest.approx(1.0)  # P(knife | fork)
    assert target[knife, fork] == pytest.approx(3 / 4)  # P(fork | knife)
    torch.testing.assert_close(source, target.T)


@pytest.mark.parametrize("given", ["source", "target"])
@pytest.mark.parametrize("unknown", [False, True])
def test_conditional_equals_its_definition(given: str, unknown: bool) -> None:
    targets, counts = some_counts(unknown=unknown)
    dense = conditional(counts, given=given, threshold=0.2).to_dense()
    for i in range(12):
        for j in range(12):
            if i == j:
                assert dense[i, j] == 0
                continue
            both = (targets[:, i] >= 0) & (targets[:, j] >= 0)
            condition = targets[both, j if given == "source" else i] == 1
            joint = (targets[both, i] == 1) & (targets[both, j] == 1)
            probability = joint.sum() / max(condition.sum(), 1)
            expected = probability if probability >= 0.2 and joint.any() else 0
            assert dense[i, j] == pytest.approx(expected)


def test_smoothing_draws_towards_the_overall_frequency() -> None:
    dense = conditional(COUNTS, given="source", threshold=0.0, smoothing=2.0).to_dense()
    assert dense[1, 0] == pytest.approx((3 + 2 * 4 / 10) / (3 + 2))
    far = conditional(COUNTS, given="source", threshold=0.0, smoothing=1e9).to_dense()
    assert far[1, 0] == pytest.approx(4 / 10)
    assert far[0, 1] == pytest.approx(3 / 10)


def test_minimum_support_and_top_k() -> None:
    graph = conditional(COUNTS, min_support=2, top_k=3)
    assert graph.num_edges == 4
    assert graph.to_dense()[1, 2] == 0
    one = conditional(COUNTS, given="target", top_k=1)
    assert one.in_degree.tolist() == [1, 1, 1, 0]
    assert one.to_dense()[2].tolist() == pytest.approx([2 / 5, 0, 0, 0])
    both = conditional(COUNTS, given="target", top_k=1, threshold=0.7)
    assert both.in_degree.tolist() == [1, 1, 0, 0]


def test_equal_weights_are_decided_by_name() -> None:
    pairs = [[0, 1, 1], [0, 2, 1], [0, 3, 1]]
    counts = Cooccurrence.from_counts([3, 1, 1, 1], pairs, 3, ["x", "c", "a", "b"])
    graph = conditional(counts, given="target", top_k=1)
    assert graph.edge_index[:, graph.edge_index[1] == 0].tolist() == [[2], [0]]


@pytest.mark.parametrize("unknown", [False, True])
def test_npmi_and_lift_equal_their_definitions(unknown: bool) -> None:
    targets, counts = some_counts(unknown=unknown)
    weights = npmi(counts, threshold=0.0).to_dense()
    lifts = lift(counts, threshold=0.0).to_dense()
    for i in range(12):
        for j in range(12):
            both = (targets[:, i] >= 0) & (targets[:, j] >= 0)
            one, two = targets[both, i] == 1, targets[both, j] == 1
            joint = (one & two).mean()
            if i == j or joint <= one.mean() * two.mean():
                assert weights[i, j] == 0
                assert lifts[i, j] == 0
                continue
            expected = reference.npmi(targets == 1, targets == -1, i, j)
            assert weights[i, j] == pytest.approx(expected, rel=1e-5)
            assert lifts[i, j] == pytest.approx(joint / (one.mean() * two.mean()), rel=1e-5)


def test_npmi_extremes() -> None:
    targets = [[1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]]
    dense = npmi(Cooccurrence.from_targets(targets, NAMES), threshold=0.0).to_dense()
    assert dense[0].sum() == 0  # always there: says nothing
    always = npmi(Cooccurrence.from_targets([[1, 1]], ["a", "b"]), threshold=0.0)
    assert always.num_edges == 0
    only_together = Cooccurrence.from_targets([[1, 1], [0, 0]], ["a", "b"])
    assert npmi(only_together, top_k=1).edge_weight.tolist() == [1.0, 1.0]
    assert lift(only_together, top_k=1).edge_weight.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("variant", "transcription"),
    [(mlgcn_code, reference.mlgcn_code), (mlgcn_paper, reference.mlgcn_paper)],
)
@pytest.mark.parametrize(("tau", "p"), [(0.4, 0.25), (0.4, 0.2), (0.1, 0.3), (0.25, 1.0)])
def test_mlgcn_equals_its_transcription(variant, transcription, tau: float, p: float) -> None:
    _, counts = some_counts()
    expected = transcription(counts.label_counts, counts.pair_counts.astype(float), tau, p)
    graph = variant(counts, tau=tau, p=p)
    assert graph.num_edges > len(counts.labels)  # else this would compare diagonals
    np.testing.assert_allclose(graph.to_dense().numpy(), expected, rtol=1e-6, atol=1e-9)


def test_mlgcn_of_labels_that_never_occur() -> None:
    code = mlgcn_code(COUNTS, tau=0.5)
    assert code.to_dense()[3].tolist() == [0, 0, 0, 1]
    paper = mlgcn_paper(COUNTS, tau=0.5)
    assert paper.to_dense()[3].tolist() == pytest.approx([0, 0, 0, 0.8])
    empty = Cooccurrence.from_targets(np.zeros((3, 4)), NAMES)
    torch.testing.assert_close(mlgcn_code(empty).to_dense(), torch.eye(4))


@pytest.mark.parametrize(("name", "labels"), [("coco2014-train", 80), ("voc2007-trainval", 20)])
def test_labels_without_neighbour_in_published_counts(shared_data, name: str, labels: int) -> None:
    counts = Cooccurrence.load(shared_data / "label-statistics" / f"{name}.json")
    alone = {80: 57, 20: 18}[labels]
    assert len(mlgcn_code(counts).isolated) == alone
    assert len(conditional(counts, given="source", threshold=0.4).isolated) == alone
    assert len(mlgcn_paper(counts).isolated) == 15
    assert len(conditional(counts, given="target", threshold=0.4).isolated) == 15
    assert counts.graph().isolated == counts.never_paired == ()


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("given", ["source", "target"])
def test_default_top_k_leaves_no_label_alone_that_co_occurs(given: str, unknown: bool) -> None:
    for seed in range(5):
        _, counts = some_counts(seed, rows=15, unknown=unknown)
        assert conditional(counts, given=given).isolated == counts.never_paired


def test_identity_and_complete() -> None:
    assert COUNTS.graph("identity").num_edges == 0
    torch.testing.assert_close(COUNTS.graph("complete").to_dense(), 1 - torch.eye(4))


def degrees(graph: LabelGraph) -> tuple[list[int], list[int]]:
    return graph.in_degree.tolist(), graph.out_degree.tolist()


@pytest.mark.parametrize("base", ["conditional", "npmi", "mlgcn_code"])
def test_random_keeps_degrees_and_weights(base: str) -> None:
    _, counts = some_counts(labels=30)
    original = build(base, counts)
    graph = random(counts, base=base, seed=3)
    assert degrees(graph) == degrees(original)
    assert graph.edge_index.tolist() != original.edge_index.tolist()
    torch.testing.assert_close(graph.to_dense().sum(1), original.to_dense().sum(1))
    torch.testing.assert_close(graph.to_dense().diagonal(), original.to_dense().diagonal())


def test_random_depends_on_its_seed_only() -> None:
    _, counts = some_counts(labels=30)
    assert random(counts, seed=1) == random(counts, seed=1)
    assert random(counts, seed=1) != random(counts, seed=2)
    by_graph = random(counts, base=conditional(counts, top_k=2), seed=1)
    assert by_graph == random(counts, base="conditional", top_k=2, seed=1)
    assert by_graph.options["base"] == "conditional"
    assert by_graph.options["top_k"] == 2


def test_random_forgets_the_original_edges() -> None:
    _, counts = some_counts(labels=60)
    original = counts.graph("knn", vectors=np.random.default_rng(0).normal(size=(60, 8)), k=4)
    kept = [
        len(edges(original) & edges(random(counts, base=original, seed=seed))) for seed in range(5)
    ]
    # 240 of 3540 possible edges: some 16 are hit by chance
    assert max(kept) < 45


def edges(graph: LabelGraph) -> set[tuple[int, int]]:
    return set(map(tuple, graph.edge_index.T.tolist()))


def test_random_with_nothing_to_swap() -> None:
    assert random(COUNTS, base="complete").num_edges == 12
    assert random(COUNTS, base="identity").num_edges == 0


def test_knn_equals_a_plain_sort() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 6))
    _, counts = some_counts()
    graph = knn(counts, vectors=vectors, k=3)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    for target in range(12):
        sources = graph.edge_index[0, graph.edge_index[1] == target].tolist()
        nearest = np.argsort(-cosine[target])[:3]
        assert sorted(sources) == sorted(j for j in nearest if cosine[target, j] > 0)
        for source in sources:
            assert graph.to_dense()[target, source] == pytest.approx(
                cosine[target, source], rel=1e-5
            )


def test_knn_without_vectors_or_with_more_neighbours_than_labels() -> None:
    vectors = np.array([[1.0, 0], [1, 1], [0, 0], [1, 0.5]])
    graph = knn(COUNTS, vectors=vectors, k=10)
    assert graph.in_degree.tolist() == [2, 2, 0, 2]
    ties = knn(COUNTS, vectors=np.ones((4, 2)), k=1)
    assert ties.edge_index[0].tolist() == [3, 3, 3, 0]  # by name: cow, for cow itself fork


def test_knn_takes_vectors_by_name_and_svd() -> None:
    by_name = {"FORK": [1.0, 0], "knife": [1, 0.1], "table": [0, 1], "cow": [0.1, 1]}
    assert knn(COUNTS, vectors=by_name, k=1).edge_index[0].tolist() == [1, 0, 3, 2]
    assert knn(COUNTS, k=1).num_edges > 0
    with pytest.raises(InputError, match="learned"):
        knn(COUNTS, vectors="learned")


def test_a_threshold_leaves_out_neighbours_that_are_not_near() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    _, counts = some_counts()
    every, near = knn(counts, vectors=vectors), knn(counts, vectors=vectors, threshold=0.8)
    assert 0 < near.num_edges < every.num_edges
    assert near.edge_weight.min() >= 0.8
    assert near.num_edges == int((every.edge_weight >= 0.8).sum())
    assert near.options["threshold"] == 0.8
    with pytest.raises(InputError, match=r"threshold=1\.5: must be at most 1"):
        knn(counts, vectors=vectors, threshold=1.5)


def test_the_relation_is_similarity_with_external_vectors() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    similar = knn(COUNTS, vectors=vectors, k=2)
    assert similar.relation == "similarity"
    assert random(COUNTS, base=similar).relation == "similarity"
    assert permuted(similar).relation == "similarity"
    # svd of the counts: labels that occur with the same others
    assert knn(COUNTS, k=2).relation == "cooccurrence"
    others = ("conditional", "npmi", "lift", "complete", "mlgcn_paper")
    for name in others:
        assert build(name, COUNTS).relation == "cooccurrence"


def test_real_word_vectors_find_similar_labels(shared_data) -> None:
    folder = shared_data / "label-statistics"
    counts = Cooccurrence.load(folder / "coco2014-train.json")
    graph = knn(counts, vectors=folder / "coco-glove300.npz", k=3)
    knife = counts.labels.index("knife")
    similar = {counts.names[k] for k in graph.edge_index[0, graph.edge_index[1] == knife].tolist()}
    assert "spoon" in similar
    assert graph.options == {"vectors": "coco-glove300.npz", "k": 3}


def test_isolated_labels_are_warned_about() -> None:
    message = r"1 of 4 labels have no neighbour in the conditional graph \('cow'\), 1 of them never"
    with pytest.warns(IsolatedLabelsWarning, match=message) as caught:
        graph = COUNTS.graph("conditional")
    assert graph.isolated == ("cow",)
    assert caught[0].filename == __file__


def test_graphs_record_their_origin() -> None:
    _, counts = some_counts()
    for name in VARIANTS:
        graph = build(name, counts)
        assert graph.variant == name
        assert graph.counts is counts
        assert json.loads(json.dumps(graph.options)) == graph.options
        assert graph.has_self_loops == name.startswith("mlgcn")
        assert graph.names == counts.names


@pytest.mark.parametrize(
    ("variant", "options", "message"),
    [
        ("nmpi", {}, "unknown graph variant 'nmpi'; did you mean 'npmi'"),
        ("conditional", {"treshold": 0.4}, "did you mean 'threshold'"),
        (
            "complete",
            {"top_k": 2},
            "complete cannot take 'top_k': conditional, npmi, lift can",
        ),
        ("random", {"topk": 2}, "graph variant conditional 'topk'; did you mean 'top_k'"),
        ("random", {"base": "random"}, "another variant"),
        ("random", {"base": LabelGraph(NAMES, [[0], [1]]), "top_k": 1}, "top_k: only for a base"),
        ("random", {"base": LabelGraph(["x"], [[], []])}, "labels of the base graph do not match"),
        ("conditional", {"given": "targets"}, "given='targets': give source or target"),
        ("conditional", {"threshold": 40}, "threshold=40: must be at most 1"),
        ("conditional", {"threshold": math.nan}, "threshold=nan: give a finite number"),
        ("conditional", {"top_k": 0}, "top_k=0: must be at least 1"),
        ("conditional", {"smoothing": -1}, "smoothing=-1: must be at least 0"),
        ("conditional", {"min_support": 0}, "min_support=0: must be at least 1"),
        ("npmi", {"threshold": -0.5}, "threshold=-0.5: must be at least 0"),
        ("lift", {"threshold": -1}, "must be at least 0"),
        ("mlgcn_code", {"tau": 0}, "tau=0: must be above 0"),
        ("mlgcn_paper", {"p": 1.5}, "p=1.5: must be at most 1"),
        ("knn", {"k": 0}, "k=0: must be at least 1"),
        ("knn", {"vectors": np.ones((3, 2))}, r"shape \(3, 2\), expected \(4, F\)"),
    ],
)
def test_wrong_options_are_one_clear_line(variant: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        COUNTS.graph(variant, **options)
    assert "\n" not in str(error.value)
