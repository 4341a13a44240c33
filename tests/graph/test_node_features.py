import numpy as np
import pytest
import torch
from torch import nn

from gatlabel.errors import InputError
from gatlabel.graph import (
    Cooccurrence,
    LabelGraph,
    MissingVectorsWarning,
    adjacency_svd,
    load_vectors,
    ppmi_svd,
    resolve,
)

NAMES = ["traffic light", "Hot_Dog", "cow"]
GRAPH = LabelGraph.from_edges([("cow", "Hot_Dog", 0.5)], NAMES)


def some_counts(seed: int = 0, labels: int = 10) -> Cooccurrence:
    rng = np.random.default_rng(seed)
    hidden = rng.random((400, 3)) < 0.3
    targets = (hidden @ rng.random((3, labels)) * rng.random((400, labels))) > 0.25
    return Cooccurrence.from_targets(targets, [f"n{k}" for k in range(labels)])


def ppmi(counts: Cooccurrence) -> np.ndarray:
    joint = counts.pair_counts / counts.images
    single = counts.label_counts / counts.images
    with np.errstate(divide="ignore"):
        pmi = np.log(joint / np.outer(single, single))
    np.fill_diagonal(pmi, 0)
    return np.maximum(pmi, 0)


def test_svd_is_the_truncated_svd_of_positive_pmi() -> None:
    counts = some_counts()
    matrix = ppmi(counts)
    left, size, _ = np.linalg.svd(matrix)
    for dim in (3, 10):
        vectors = ppmi_svd(counts, dim)
        assert vectors.shape == (10, dim)
        expected = np.abs(left[:, :dim] * np.sqrt(size[:dim]))
        np.testing.assert_allclose(np.abs(vectors), expected, atol=1e-5)
        peak = vectors[np.abs(vectors).argmax(0), np.arange(dim)]
        assert (peak >= 0).all()


def test_svd_of_many_labels_takes_the_sparse_way_to_the_same_result(monkeypatch) -> None:
    counts = some_counts(labels=40)
    dense = ppmi_svd(counts, 6)
    monkeypatch.setattr("gatlabel.graph.node_features._DENSE_LABELS", 5)
    np.testing.assert_allclose(ppmi_svd(counts, 6), dense, atol=1e-5)
    np.testing.assert_array_equal(ppmi_svd(counts, 6), ppmi_svd(counts, 6))


def test_labels_that_never_occur_get_zeros() -> None:
    counts = Cooccurrence.from_counts([3, 4, 0], [[0, 1, 3]], 10, NAMES)
    vectors = ppmi_svd(counts, 8)
    assert vectors.shape == (3, 3)
    assert np.isfinite(vectors).all()
    assert not vectors[2].any()
    assert vectors[:2].any(1).all()
    nothing = Cooccurrence.from_targets(np.zeros((2, 3)), NAMES)
    assert not ppmi_svd(nothing, 2).any()


def test_svd_comes_from_counts_or_else_from_the_graph() -> None:
    counts = some_counts()
    graph = counts.graph("npmi")
    vectors, trainable = resolve("svd", graph, dim=4)
    assert not trainable
    np.testing.assert_array_equal(vectors.numpy(), ppmi_svd(counts, 4))
    alone = LabelGraph(graph.names, graph.edge_index, graph.edge_weight)
    fallback, _ = resolve("svd", alone, dim=4)
    np.testing.assert_array_equal(fallback.numpy(), adjacency_svd(graph, 4))
    assert fallback.shape == vectors.shape
    symmetric = (graph.to_dense() + graph.to_dense().T).numpy() / 2
    size = np.linalg.svd(symmetric, compute_uv=False)[:4]
    np.testing.assert_allclose((fallback**2).sum(0), size, rtol=1e-4)


def test_svd_needs_the_number_of_images() -> None:
    counts = Cooccurrence.from_counts([3, 4, 0], [[0, 1, 3]], None, NAMES)
    with pytest.raises(InputError, match="svd node features needs the number of images"):
        resolve("svd", LabelGraph(NAMES, [], counts=counts))


def test_learned_vectors_are_trainable_and_follow_the_seed() -> None:
    torch.manual_seed(1)
    one, trainable = resolve("learned", GRAPH, dim=2000)
    torch.manual_seed(1)
    assert torch.equal(one, resolve("learned", GRAPH, dim=2000)[0])
    assert trainable
    torch.testing.assert_close(one.norm(dim=1), torch.ones(3), atol=0.1, rtol=0)


def test_tensors_pass_through() -> None:
    given = torch.rand(3, 5, dtype=torch.float64)
    vectors, trainable = resolve(given, GRAPH)
    assert torch.equal(vectors, given)
    assert not trainable
    assert resolve(nn.Parameter(given), GRAPH)[1]
    assert resolve(np.ones((3, 2), int), GRAPH)[0].dtype == torch.float32
    own = LabelGraph(NAMES, [], node_features=given)
    assert torch.equal(resolve(None, own)[0], given)
    assert resolve(None, GRAPH)[0].shape == (3, 3)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.rand(2, 5), r"shape \(2, 5\), expected \(3, F\)"),
        (torch.rand(3), r"shape \(3,\)"),
        (torch.rand(3, 0), r"shape \(3, 0\)"),
        (torch.tensor([[np.nan]] * 3), "NaN"),
        ("svg", "neither svd, names, learned, nor a file that exists; did you mean 'svd'"),
        (7, "cannot be a int"),
        ({"horse": [1.0]}, "no vector for any of the 3 labels"),
        ({"cow": [1.0], "horse": [1.0, 2.0]}, "differ in shape"),
    ],
)
def test_bad_features_are_one_clear_line(features, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(features, GRAPH)


def test_width_out_of_range() -> None:
    with pytest.raises(InputError, match="width of node features is 0"):
        resolve("learned", GRAPH, dim=0)


GLOVE = "traffic 1 2\nlight 3 4\nhot_dog 5 6\ncow -1 0.5\nzebra 9 9\n"


def test_text_vectors_average_words(tmp_path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE)
    vectors, report = load_vectors(path, NAMES)
    assert vectors.tolist() == [[2, 3], [5, 6], [-1, 0.5]]
    assert str(report) == "3 of 3 labels have a vector"
    features, trainable = resolve(path, GRAPH)
    assert features.tolist() == vectors.tolist()
    assert not trainable


def test_word2vec_heading_and_words_with_blanks(tmp_path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\ncow 1 2\ntraffic light 3 4\nhot dog 5 6\n")
    assert load_vectors(path, NAMES)[0].tolist() == [[3, 4], [5, 6], [1, 2]]


def test_report_names_what_is_missing(tmp_path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("light 3 4\nhot_dog 5 6\n")
    vectors, report = load_vectors(path, NAMES)
    assert vectors.tolist() == [[3, 4], [5, 6], [0, 0]]
    assert (report.found, report.missing) == (("Hot_Dog",), ("cow",))
    assert report.partial == {"traffic light": ("traffic",)}
    assert str(report) == (
        "2 of 3 labels have a vector; not found: cow; "
        "from some of their words: traffic light (without traffic)"
    )
    with pytest.warns(MissingVectorsWarning, match="not found: cow"):
        resolve(str(path), GRAPH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cow 1 x\n", r"glove\.txt, line 1: expected numbers"),
        ("zebra 1 2\ncow 1 nan\n", r"the vector of 'cow' contains NaN"),
        ("zebra 1 2\n", "no vector for any of the 3 labels"),
        ("", "no vector for any"),
    ],
)
def test_damaged_text_files(tmp_path, text: str, message: str) -> None:
    (tmp_path / "glove.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        load_vectors(tmp_path / "glove.txt", NAMES)


def test_npz_vectors(tmp_path) -> None:
    path = tmp_path / "v.npz"
    vectors = np.arange(8.0).reshape(4, 2)
    np.savez(path, names=np.array(["cow", "traffic_light", "hot", "DOG"]), vectors=vectors)
    assert load_vectors(path, NAMES)[0].tolist() == [[2, 3], [5, 6], [0, 1]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array(["a"])}, r"has the arrays \['names'\]"),
        ({"names": np.array(["a"]), "vectors": np.ones((2, 2))}, "do not match"),
        ({"names": np.array(["a"]), "vectors": np.array([["x"]])}, "do not match"),
        ({"names": np.array(["a"], object), "vectors": np.ones((1, 2))}, "never opened"),
    ],
)
def test_damaged_npz_files(tmp_path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_vectors(tmp_path / "v.npz", NAMES)


def test_unreadable_files(tmp_path) -> None:
    (tmp_path / "v.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"v\.npz"):
        load_vectors(tmp_path / "v.npz", NAMES)
    with pytest.raises(InputError, match=r"cannot read the label vectors .*none\.txt"):
        load_vectors(tmp_path / "none.txt", NAMES)


@pytest.mark.parametrize("name", ["coco", "voc"])
def test_real_word_vectors(shared_data, name: str) -> None:
    folder = shared_data / "label-statistics"
    counts = Cooccurrence.load(next(folder.glob(f"{name}*20*.json")))
    vectors, report = load_vectors(folder / f"{name}-glove300.npz", counts.names)
    assert vectors.shape == (len(counts.names), 300)
    assert report.missing == ()
    assert vectors.any(1).all()
