"""AUROC against scikit-learn, torchmetrics and its definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import multilabel_auroc

from gatlabel.errors import InputError
from gatlabel.metrics import AUROC, auroc, mean_auroc


def example(n=200, labels=5, decimals=1):
    """Scores with ties, and targets of which some are unknown."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(n, labels)).round(decimals)
    targets = (rng.random((n, labels)) < 0.3).astype(np.float32)
    targets[rng.random((n, labels)) < 0.2] = -1
    return scores, targets


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_is_that_of_scikit_learn(decimals):
    scores, targets = example(decimals=decimals)
    found = auroc(scores, targets)
    for label in range(5):
        known = targets[:, label] >= 0
        expected = roc_auc_score(targets[known, label], scores[known, label])
        assert float(found[label]) == pytest.approx(expected, abs=1e-12)
    assert mean_auroc(scores, targets) == pytest.approx(float(found.mean()), abs=1e-12)


def test_is_that_of_torchmetrics():
    scores, targets = example()
    logits, exact = torch.from_numpy(scores).float(), torch.from_numpy(targets).long()
    expected = multilabel_auroc(logits, exact, 5, average="none", ignore_index=-1)
    torch.testing.assert_close(auroc(logits, exact).float(), expected)


def test_collects_batches():
    scores, targets = (torch.from_numpy(values) for values in example())
    metric = AUROC(5)
    for rows in range(0, 200, 64):
        metric.update(scores[rows : rows + 64], targets[rows : rows + 64])
    torch.testing.assert_close(metric.compute(), auroc(scores, targets))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([1, 0, -1])), max_size=12))
def test_is_the_share_of_pairs_in_order(rows):
    scores = np.array([[score] for score, _ in rows], float).reshape(-1, 1)
    targets = np.array([[target] for _, target in rows], float).reshape(-1, 1)
    pairs = [(a > b) + (a == b) / 2 for a, s in rows for b, t in rows if s == 1 and t == 0]
    found = float(auroc(scores, targets)[0])
    assert math.isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))


def test_labels_of_one_class_have_none():
    targets = torch.tensor([[1, 0, -1, 1], [1, 0, -1, 0], [-1, 0, -1, -1]])
    found = auroc(torch.randn(3, 4), targets)
    assert found[:3].isnan().all()
    assert not found[3].isnan()
    assert math.isnan(mean_auroc(torch.randn(3, 1), targets[:, :1]))


def test_infinite_scores_have_a_rank_and_nan_has_none():
    scores = torch.tensor([[math.inf], [0.0], [-math.inf]])
    assert float(auroc(scores, torch.tensor([[1], [1], [0]]))[0]) == 1
    assert float(auroc(scores, torch.tensor([[0], [0], [1]]))[0]) == 0
    with pytest.raises(InputError, match="is NaN"):
        auroc(scores * 0, torch.tensor([[1], [1], [0]]))
