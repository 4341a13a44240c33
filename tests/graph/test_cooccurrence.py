import json

import numpy as np
import pytest
import torch
from scipy import sparse

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, gram, sparse_counts
from tests.reference.label_graphs import counts_by_loop

NAMES = ["a", "b", "c", "d", "e"]


def random_targets(seed: int = 0, rows: int = 40, values: tuple[float, ...] = (-1, 0, 0, 1, 0.7)):
    return np.random.default_rng(seed).choice(values, (rows, len(NAMES)))


def assert_counts(counts: Cooccurrence, targets: np.ndarray) -> None:
    for name, expected in counts_by_loop(targets).items():
        np.testing.assert_array_equal(getattr(counts, name), expected, err_msg=name)
    assert counts.images == len(targets)


@pytest.mark.parametrize("values", [(0, 1), (-1, 0, 1), (-1, 0, 0.3, 0.5, 1), (0,), (-1,)])
def test_counts_equal_their_definition(values: tuple[float, ...]) -> None:
    targets = random_targets(values=values)
    assert_counts(Cooccurrence.from_targets(targets, NAMES), targets)


@pytest.mark.parametrize(
    "convert",
    [
        torch.from_numpy,
        lambda t: torch.from_numpy(t).to(torch.bfloat16),
        lambda t: torch.from_numpy(t).to_sparse(),
        lambda t: torch.from_numpy(t).to_sparse_csr(),
        sparse.csr_matrix,
        sparse.csc_array,
        sparse.coo_array,
        np.ndarray.tolist,
        lambda t: t.astype(np.float32),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_every_form_of_targets_counts_the_same(convert) -> None:
    targets = random_targets(seed=1)
    assert_counts(Cooccurrence.from_targets(convert(targets), NAMES), targets)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_integer_and_bool_targets(dtype: type) -> None:
    targets = random_targets(values=(0, 1))
    assert_counts(Cooccurrence.from_targets(targets.astype(dtype), NAMES), targets)
    assert_counts(
        Cooccurrence.from_targets(torch.from_numpy(targets.astype(dtype)), NAMES), targets
    )


def test_targets_of_no_image() -> None:
    counts = Cooccurrence.from_targets(np.zeros((0, 5)), NAMES)
    assert counts.images == 0
    assert counts.never_present == tuple(NAMES)
    assert counts == Cooccurrence.from_targets(sparse.csr_array((0, 5)), NAMES)


def test_input_is_left_as_it_was() -> None:
    matrix = sparse.coo_array(([1, 1, -1], ([1, 0, 0], [2, 4, 1])), shape=(3, 5)).tocsr()
    matrix.indices[:2] = matrix.indices[:2][::-1].copy()  # unsorted within the row
    matrix.data[:2] = matrix.data[:2][::-1].copy()
    matrix.has_sorted_indices = False
    before = matrix.indices.copy()
    assert_counts(Cooccurrence.from_targets(matrix, NAMES), matrix.toarray())
    np.testing.assert_array_equal(matrix.indices, before)


def test_sparse_pairs_in_many_chunks_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = (np.random.default_rng(2).random((300, 5)) < 0.5).astype(np.int8)
    monkeypatch.setattr(gram, "_PAIRS", 50)
    assert_counts(Cooccurrence.from_targets(sparse.csr_array(dense), NAMES), dense)


def test_more_labels_than_32_bit_keys_hold() -> None:
    L = 70_000
    rows, columns = [0, 0, 1, 1, 1], [5, 69_999, 5, 300, 69_999]
    matrix = sparse.csr_array((np.ones(5), (rows, columns)), shape=(2, L))
    counts = Cooccurrence.from_targets(matrix, map(str, range(L)))
    stored = counts.pairs.tocoo()
    found = dict(
        zip(
            zip(stored.row.tolist(), stored.col.tolist(), strict=False),
            stored.data.tolist(),
            strict=False,
        )
    )
    assert found == {(5, 69_999): 2, (5, 300): 1, (300, 69_999): 1}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([[0, 1, 2, 0, 0]], r"target 2 in row 0, label 'c'"),
        ([[0, 1, 0, 0, 0], [0, 0, 0, float("nan"), 0]], r"row 1, label 'd'"),
        ([[0, 1, 0]], r"expected \(N, 5\)"),
        ([0, 1], r"expected \(N, 5\)"),
    ],
)
def test_bad_targets_are_named(targets: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cooccurrence.from_targets(np.array(targets), NAMES, chunk=1)


def test_bad_sparse_targets_are_named() -> None:
    bad = sparse.csr_array(([1.0, -2.0], ([0, 2], [1, 3])), shape=(3, 5))
    with pytest.raises(InputError, match=r"target -2.0 in row 2, label 'd'"):
        Cooccurrence.from_targets(bad, NAMES)
    with pytest.raises(InputError, match=r"shape \(3, 4\)"):
        Cooccurrence.from_targets(sparse.csr_array((3, 4)), NAMES)


@pytest.mark.parametrize("chunk", [0, -3, 2**24])
def test_chunk_out_of_range(chunk: int) -> None:
    with pytest.raises(InputError, match="chunk is"):
        Cooccurrence.from_targets(random_targets(), NAMES, chunk=chunk)


PAIRS = [[0, 3, 2], [3, 1, 1]]
DENSE = np.array([[0, 0, 0, 2, 0], [0, 0, 0, 1, 0], [0] * 5, [2, 1, 0, 0, 0], [0] * 5])


@pytest.mark.parametrize(
    "pairs",
    [
        PAIRS,
        DENSE,
        DENSE.astype(float),
        DENSE.tolist(),
        torch.from_numpy(DENSE),
        sparse.csr_array(DENSE),
        DENSE + np.diag([3, 1, 0, 2, 5]),
    ],
)
def test_pair_counts_in_every_form(pairs) -> None:
    counts = Cooccurrence.from_counts([3, 1, 0, 2, 5], pairs, 9, NAMES)
    np.testing.assert_array_equal(counts.pair_counts, DENSE)
    assert counts.never_present == ("c",)
    assert counts.never_paired == ("c", "e")


def test_three_labels_distinguish_a_matrix_from_a_list() -> None:
    names, singles = ["x", "y", "z"], [4, 4, 4]
    listed = Cooccurrence.from_counts(singles, [[0, 1, 2], [0, 2, 3], [1, 2, 1]], 9, names)
    matrix = Cooccurrence.from_counts(singles, [[0, 2, 3], [2, 0, 1], [3, 1, 0]], 9, names)
    assert listed == matrix


@pytest.mark.parametrize(
    ("singles", "pairs", "images", "message"),
    [
        ([3, 1, 0, 2], PAIRS, 9, r"shape \(4,\), not \(5,\)"),
        ([3, 1, 0, -2, 5], PAIRS, 9, "negative value -2"),
        ([3, 1.5, 0, 2, 5], PAIRS, 9, "whole numbers"),
        ([3, 1, 0, np.nan, 5], PAIRS, 9, "whole numbers"),
        (["x"] * 5, PAIRS, 9, "must be numbers"),
        ([3, 1, 0, 2, 5], [[0, 3, -2]], 9, "negative value -2"),
        ([3, 1, 0, 2, 5], [[0, 5, 1]], 9, r"pair 0 is \[0, 5, 1\]"),
        ([3, 1, 0, 2, 5], [[2, 2, 0]], 9, "two different labels"),
        ([3, 1, 0, 2, 5], [[0, 1, 1], [1, 0, 1]], 9, "'a', 'b' appears more than once"),
        ([3, 1, 0, 2, 5], [[0, 1]], 9, r"shape \(1, 2\)"),
        ([3, 1, 0, 2, 5], [[0, 1, 2], [0]], 9, "matrix or a list"),
        ([3, 1, 0, 2, 5], np.triu(DENSE), 9, "not symmetric: 2 for 'a', 'd' and 0"),
        ([3, 1, 0, 2, 5], DENSE + np.eye(5, dtype=int), 9, "diagonal"),
        ([3, 1, 0, 2, 5], [[0, 3, 3]], 9, "'a', 'd' occurs 3 times, more often than one"),
        ([3, 1, 0, 2, 5], PAIRS, 4, "'e' occurs 5 times in 4 images"),
        ([3, 1, 0, 2, 5], PAIRS, -1, "negative"),
    ],
)
def test_impossible_counts_are_refused(singles, pairs, images, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cooccurrence.from_counts(singles, pairs, images, NAMES)


def test_mlgcn_arrays(tmp_path) -> None:
    arrays = {"nums": np.array([3.0, 1, 0, 2, 5]), "adj": DENSE}
    counts = Cooccurrence.from_mlgcn(arrays, NAMES, images=9)
    assert counts == Cooccurrence.from_counts([3, 1, 0, 2, 5], PAIRS, 9, NAMES)
    np.savez(tmp_path / "adj.npz", **arrays)
    without = Cooccurrence.from_mlgcn(tmp_path / "adj.npz", NAMES)
    assert without.images is None
    assert "images unknown" in repr(without)
    with pytest.raises(InputError, match="npmi needs the number of images"):
        without.graph("npmi")
    with pytest.raises(InputError, match=r"missing: \['adj'\]"):
        Cooccurrence.from_mlgcn({"nums": [1]}, NAMES)


def test_pickles_are_never_opened(tmp_path) -> None:
    np.savez(tmp_path / "adj.npz", nums=np.array([object()]), adj=DENSE)
    with pytest.raises(InputError, match=r"adj.npz: .*pickles are never opened"):
        Cooccurrence.from_mlgcn(tmp_path / "adj.npz", NAMES)
    with pytest.raises(InputError, match=r"cannot read the ML-GCN counts .*none\.npz"):
        Cooccurrence.from_mlgcn(tmp_path / "none.npz", NAMES)


@pytest.mark.parametrize("values", [(0, 1), (-1, 0, 1)])
def test_saved_counts_come_back(tmp_path, values) -> None:
    counts = Cooccurrence.from_targets(random_targets(values=values), NAMES)
    counts.save(tmp_path / "counts.json")
    assert Cooccurrence.load(tmp_path / "counts.json") == counts


def test_counts_of_unknown_size_come_back(tmp_path) -> None:
    counts = Cooccurrence.from_counts([3, 1, 0, 2, 5], PAIRS, None, NAMES)
    counts.save(tmp_path / "counts.json")
    assert Cooccurrence.load(tmp_path / "counts.json") == counts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a co-occurrence file"),
        ({"counts": None}, "counts"),
        ({"pairs": [[0, 1, 99]]}, "more often than one"),
        ({"unknown": {"counts": [1]}}, "counts.json"),
        ({"unknown": {"counts": [1], "pairs": [], "present": []}}, r"shape \(1,\)"),
    ],
)
def test_damaged_files_are_named(tmp_path, change: dict, message: str) -> None:
    path = tmp_path / "counts.json"
    Cooccurrence.from_counts([3, 1, 0, 2, 5], PAIRS, 9, NAMES).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as error:
        Cooccurrence.load(path)
    assert "counts.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named(tmp_path) -> None:
    (tmp_path / "c.json").write_text('{"names": ["a"], "images": 3}')
    with pytest.raises(InputError, match=r"c\.json lacks counts, pairs"):
        Cooccurrence.load(tmp_path / "c.json")


def test_merge_needs_the_same_names_in_any_order() -> None:
    one, two = random_targets(1), random_targets(2)
    order = [3, 1, 4, 0, 2]
    shuffled = Cooccurrence.from_targets(two[:, order], [NAMES[k] for k in order])
    merged = Cooccurrence.from_targets(one, NAMES) + shuffled
    assert_counts(merged, np.concatenate([one, two]))
    with pytest.raises(InputError, match="missing: 'e'; extra: 'f'"):
        merged.merge(Cooccurrence.from_targets(two, ["a", "b", "c", "d", "f"]))


def test_repr_shows_the_options() -> None:
    targets = np.array([[1, 1, 0, 0, -1], [1, 0, 0, 0, 0]])
    assert repr(Cooccurrence.from_targets(targets, NAMES)) == (
        "Cooccurrence(5 labels, 2 images, 1 pairs occur, 1.50 labels per image, "
        "10% of entries unknown, 3 never present)"
    )


def test_published_statistics_load_as_they_are(shared_data) -> None:
    counts = Cooccurrence.load(shared_data / "label-statistics" / "coco2014-train.json")
    assert (counts.images, len(counts.names), counts.pairs.nnz) == (82081, 80, 2574)
    at = counts.labels.index
    published = json.loads((shared_data / "label-statistics" / "coco2014-train.json").read_text())
    i, j = sorted((at("fork"), at("knife")))
    assert [i, j, counts.pair_counts[j, i]] in published["pairs"]


def test_real_sparse_targets_equal_the_dense_count(shared_data) -> None:
    stored = np.load(shared_data / "label-statistics" / "mlrsnet-labels.npz", allow_pickle=False)
    N, names = len(stored["indptr"]) - 1, stored["names"].tolist()
    ones = np.ones(len(stored["indices"]), np.int8)
    matrix = sparse.csr_array((ones, stored["indices"], stored["indptr"]), shape=(N, len(names)))
    counts = Cooccurrence.from_targets(matrix, names)
    assert counts == Cooccurrence.from_targets(matrix.toarray(), names)
    gram = (matrix.astype(np.int32).T @ matrix.astype(np.int32)).toarray()
    np.testing.assert_array_equal(counts.pair_counts, gram - np.diag(np.diag(gram)))


def test_base_rates_are_never_0_or_1() -> None:
    counts = Cooccurrence.from_targets([[1, 0, -1], [1, 0, 1], [1, 0, 0]], ["a", "b", "c"])
    np.testing.assert_allclose(counts.base_rates, [3.5 / 4, 0.5 / 4, 1.5 / 3])


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (3000, [5]),  # rows of one length, as they stand
        (3000, [0, 1, 2, 3, 5, 8]),
        (40, [6, 7]),  # all pairs in one bucket, tallied
        (65_536, [4, 6]),  # as many labels as 16 bits hold
        (65_537, [4, 6]),
    ],
)
def test_many_sparse_pairs_equal_the_product(monkeypatch, size: int, lengths: list[int]) -> None:
    """Enough pairs for the buckets, written in more than one go, rows in more than one block."""
    rng = np.random.default_rng(0)
    images = 40_000
    length = rng.choice(lengths, images)
    columns = np.cumsum(rng.integers(1, size // max(lengths), (images, max(lengths))), axis=1) - 1
    present = np.arange(max(lengths)) < length[:, None]
    pointer = np.r_[0, np.cumsum(length)]
    matrix = sparse.csr_array(
        (np.ones(present.sum(), np.int8), columns[present], pointer), shape=(images, size)
    )
    monkeypatch.setattr(gram, "_WRITTEN", 1 << 16)
    assert (length * (length - 1) // 2).sum() > gram._BUCKETS_FROM
    assert matrix.nnz > gram._ENTRIES
    found = gram.upper_gram(matrix, np.int32)
    wanted = sparse.csr_array(sparse.triu(matrix.T.astype(np.int32) @ matrix.astype(np.int32), 1))
    wanted.sum_duplicates()
    assert found.shape == (size, size)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part))


def test_a_pair_counted_too_often_is_found_in_a_later_block(monkeypatch):
    monkeypatch.setattr(sparse_counts, "_ENTRIES", 1)
    pairs = np.zeros((4, 4), int)
    pairs[0, 1] = pairs[1, 0] = 2
    pairs[2, 3] = pairs[3, 2] = 4
    with pytest.raises(InputError, match=r"'c', 'd' occurs 4 times.*3 times"):
        Cooccurrence.from_counts([5, 5, 3, 9], pairs, 20, list("abcd"))
