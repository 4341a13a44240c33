"""What must hold for label counts and graphs of any targets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.variants import make_variant
from tests.reference.label_graphs import counts_by_loop

L = 6
NAMES = [f"label {letter}" for letter in "fbdaec"]

targets_of_any_kind = npst.arrays(
    np.float64,
    st.tuples(st.integers(0, 25), st.just(L)),
    elements=st.sampled_from([-1.0, 0.0, 0.0, 0.2, 0.5, 1.0, 1.0]),
)
orders = st.permutations(range(L))
of_counts = ["identity", "complete", "conditional", "mlgcn_code", "mlgcn_paper", "npmi", "lift"]


def build(variant: str, counts: Cooccurrence, **options) -> LabelGraph:
    return make_variant(variant, options).build(counts)


def count(targets: np.ndarray, names: list[str] = NAMES) -> Cooccurrence:
    return Cooccurrence.from_targets(targets, names)


@given(targets=targets_of_any_kind)
@settings(deadline=None, max_examples=40)
def test_counts_equal_their_definition(targets: np.ndarray) -> None:
    counts = count(targets)
    for name, expected in counts_by_loop(targets).items():
        np.testing.assert_array_equal(getattr(counts, name), expected, err_msg=name)


@given(targets=targets_of_any_kind, order=orders)
@settings(deadline=None)
def test_permuted_labels_give_permuted_counts(targets: np.ndarray, order: list[int]) -> None:
    permuted = count(targets[:, order], [NAMES[k] for k in order])
    assert permuted == count(targets).reorder(permuted.names)
    assert permuted.reorder(NAMES) == count(targets)


@pytest.mark.parametrize("variant", of_counts)
@given(targets=targets_of_any_kind, order=orders, k=st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_permuted_labels_give_permuted_graphs(
    variant: str, targets: np.ndarray, order: list[int], k: int
) -> None:
    options = {"top_k": k} if variant in ("conditional", "npmi", "lift") else {}
    names = [NAMES[k] for k in order]
    permuted = build(variant, count(targets[:, order], names), **options)
    expected = build(variant, count(targets), **options).reorder(names)
    assert torch.equal(permuted.edge_index, expected.edge_index)
    torch.testing.assert_close(permuted.edge_weight, expected.edge_weight)


@given(order=orders, k=st.integers(1, 4), seed=st.integers(0, 99))
@settings(deadline=None)
def test_permuted_labels_give_permuted_neighbours(order: list[int], k: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).integers(-2, 3, (L, 3))  # many ties
    counts, names = count(np.zeros((1, L))), [NAMES[k] for k in order]
    permuted = build("knn", counts.reorder(names), vectors=vectors[order], k=k)
    expected = build("knn", counts, vectors=vectors, k=k).reorder(names)
    assert torch.equal(permuted.edge_index, expected.edge_index)


@given(targets=targets_of_any_kind, chunk=st.integers(1, 30))
@settings(deadline=None)
def test_chunks_and_sparse_give_the_same_counts(targets: np.ndarray, chunk: int) -> None:
    whole = count(targets)
    assert Cooccurrence.from_targets(targets, NAMES, chunk=chunk) == whole
    assert count(sparse.csr_array(targets)) == whole


@given(one=targets_of_any_kind, two=targets_of_any_kind)
@settings(deadline=None)
def test_merging_counts_is_counting_both(one: np.ndarray, two: np.ndarray) -> None:
    assert count(one) + count(two) == count(np.concatenate([one, two]))


@given(targets=targets_of_any_kind)
@settings(deadline=None, max_examples=50)
def test_images_of_unknown_labels_change_no_graph(targets: np.ndarray) -> None:
    unknown = np.full((7, L), -1.0)
    more = count(np.concatenate([targets, unknown]))
    for variant in of_counts:
        before, after = build(variant, count(targets)), build(variant, more)
        assert torch.equal(before.edge_index, after.edge_index)
        torch.testing.assert_close(before.edge_weight, after.edge_weight)


@given(targets=targets_of_any_kind, column=st.integers(0, L - 1))
@settings(deadline=None, max_examples=50)
def test_an_unknown_label_leaves_the_others_alone(targets: np.ndarray, column: int) -> None:
    hidden = targets.copy()
    hidden[:, column] = -1
    others = [k for k in range(L) if k != column]
    before, after = count(targets), count(hidden)
    for name in ("pair_counts", "known_pairs", "present_where_known"):
        was, now = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(was[np.ix_(others, others)], now[np.ix_(others, others)])
        assert not now[column, column]
    assert after.label_counts[column] == after.pair_counts[column].sum() == 0


@given(targets=targets_of_any_kind, k=st.integers(1, 3), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_every_graph_is_sound(targets: np.ndarray, k: int, seed: int) -> None:
    counts = count(targets)
    for graph in (
        build("conditional", counts, top_k=k),
        build("random", counts, top_k=k, seed=seed),
        build("npmi", counts, top_k=k),
    ):
        assert (graph.edge_index[0] != graph.edge_index[1]).all()
        assert graph.in_degree.max() <= k
        assert ((graph.edge_weight > 0) & (graph.edge_weight <= 1 + 1e-6)).all()
        assert set(counts.never_paired) <= set(graph.isolated)
    assert build("conditional", counts).isolated == counts.never_paired


@given(seed=st.integers(0, 999), density=st.floats(0, 1))
@settings(deadline=None)
def test_conversions_come_back(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(L, L)) * (rng.random((L, L)) < density)
    graph = LabelGraph.from_dense(matrix, NAMES, self_loops=True)
    assert LabelGraph.from_networkx(graph.to_networkx()) == graph
    assert LabelGraph.from_pyg(graph.to_pyg()) == graph
    assert LabelGraph.from_dense(graph.to_dense(), NAMES, self_loops=True) == graph
