"""Targets: what is refused, and what stays sparse."""

import numpy as np
import pytest
import torch
from scipy import sparse

from gatlabel.data import folds, stratify
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.metrics import evaluate_scores
from gatlabel.targets import Targets

NAMES = ["cat", "dog", "sofa"]


@pytest.mark.parametrize("value", [2.0, -2.0, -0.5, 1.5, np.nan, np.inf])
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array, torch.tensor])
def test_a_value_out_of_range_is_named_by_row_and_label(value: float, layout) -> None:
    table = np.zeros((4, 3))
    table[2, 1] = value
    with pytest.raises(InputError, match=rf"target {value} in row 2, label 'dog': values are 0 to"):
        Targets(layout(table), NAMES)
    with pytest.raises(InputError, match="in row 2, column 1: "):
        Targets(layout(table))


def test_the_row_is_named_in_long_tables_too() -> None:
    table = np.zeros((3_000_000, 3), np.int8)
    table[2_500_000, 2] = 3
    with pytest.raises(InputError, match="target 3 in row 2500000, label 'sofa'"):
        Targets(table, NAMES)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 0], r"shape \(2,\), expected \(N, 3\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 4)), r"shape \(2, 4\), expected \(N, 3\): .* one column per label"),
        ([["a", "b", "c"]], "not a table of numbers"),
        (np.array([["1", "0", "0"]]), "have dtype <U1"),
        (np.zeros((1, 3), complex), "have dtype complex128"),
        (np.full((1, 3), 255, np.uint8), "target 255 in row 0"),
    ],
)
def test_invalid_tables_are_refused(values, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Targets(values, NAMES)


def test_targets_are_checked_once_and_kept_as_they_are() -> None:
    table = np.eye(3, dtype=np.int8)
    targets = Targets(table, NAMES)
    assert targets.values is table
    assert Targets.of(targets, NAMES) is targets
    with pytest.raises(InputError, match="one column per label"):
        Targets.of(targets, NAMES[:2])
    assert repr(targets) == "Targets(3 images, 3 labels, dense)"


def large() -> Targets:
    """A table that would take 400 GB dense."""
    rng = np.random.default_rng(0)
    places = (np.repeat(np.arange(1_000_000), 3), rng.integers(0, 100_000, 3_000_000))
    ones = np.ones(3_000_000, np.float32)
    values = sparse.csr_array((ones, places), shape=(1_000_000, 100_000))
    values.sum_duplicates()
    values.data[:] = 1
    return Targets(values)


def test_large_label_sets_stay_sparse() -> None:
    targets = large()
    assert targets.rows([0, 5]).shape == (2, 100_000)
    assert targets.counts().present.sum() == targets.values.nnz
    few = targets.take(range(1000)).columns([*range(50_000), -1])
    assert few.is_sparse
    assert few.counts().known[-1] == 0
    names = [f"label {k}" for k in range(100_000)]
    assert Cooccurrence.from_targets(targets, names).images == 1_000_000


def test_splits_of_large_label_sets_stay_sparse() -> None:
    targets = large().take(range(60))
    assert sorted(np.concatenate(stratify(targets, [2, 1], seed=0))) == list(range(60))
    assert np.bincount(folds(targets, 3)).tolist() == [20, 20, 20]


def test_metrics_take_targets() -> None:
    table = np.float32([[1, 0, -1], [0, 1, 1], [1, 1, 0]])
    scores = np.random.default_rng(0).normal(size=(3, 3))
    found = evaluate_scores(scores, Targets(table), LabelSet(NAMES))
    assert found.metrics == evaluate_scores(scores, table, LabelSet(NAMES)).metrics
