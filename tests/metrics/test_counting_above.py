import math

import numpy as np
import pytest
import torch

from gatlabel.metrics import average_precision
from gatlabel.metrics.counting_above import counts_at_least

N = 6000


def expected(scores, thresholds):
    ordered = np.sort(scores)
    return len(scores) - np.searchsorted(ordered, thresholds)


def drawn(kind, dtype, rng):
    if kind == "plain":
        scores = rng.normal(size=N)
    elif kind == "tied":
        scores = rng.normal(size=N).round(1)
    elif kind == "two values":
        scores = rng.integers(0, 2, N)
    elif kind == "sure":
        scores = 1 / (1 + np.exp(-4 * rng.normal(size=N)))  # many of them near 0 or 1
    elif kind == "neighbours":  # nothing between them in floating point
        scores = np.nextafter(dtype(1), dtype(2)) * rng.integers(0, 2, N) + 1
    else:  # infinite scores below and above all thresholds
        scores = rng.normal(size=N)
        scores[:50], scores[50:90] = math.inf, -math.inf
    return scores.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("positives", [1, 2, 40, 700])
@pytest.mark.parametrize("kind", ["plain", "tied", "two values", "sure", "neighbours", "infinite"])
def test_equals_the_sort(kind, positives, dtype):
    rng = np.random.default_rng(positives)
    scores = drawn(kind, dtype, rng)
    thresholds = np.sort(scores[rng.choice(np.arange(100, N), positives, replace=False)])
    found = counts_at_least(scores, thresholds)
    assert found is not None
    np.testing.assert_array_equal(found, expected(scores, thresholds))


@pytest.mark.parametrize(
    "thresholds",
    [
        [],
        [-math.inf, 0.0],
        [0.0, math.inf],
        [-3e38, 3e38],  # their distance is no float32
        [0.0, 1e-45],  # nor is one over theirs
        np.linspace(0, 1, 20_000),
    ],
)
def test_falls_back_to_sorting_for_unsuitable_ranges(thresholds):
    scores = np.zeros(N, np.float32)
    assert counts_at_least(scores, np.array(thresholds, np.float32)) is None


def test_leaves_an_uneven_range_to_the_sort():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=N)
    outlier = np.sort(np.r_[scores[:200], 1e12])  # all others share a bin
    assert counts_at_least(scores, outlier) is None
    scores[:4000] = 0.5 + rng.normal(size=4000) / 1e9  # the few thresholds there share a bin
    cluster = np.sort(np.r_[scores[:5], scores[4000:4100]])
    assert counts_at_least(scores, cluster) is None


@pytest.mark.parametrize("protocol", ["uninterpolated", "voc2007", "voc2010"])
def test_average_precision_is_the_same_by_both_ways(protocol, monkeypatch):
    """Sparse, dense, constant, infinite, absent and partly unknown labels side by side."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(N, 7)).round(2)
    scores[:, 2] = 0.5
    scores[::9, 3] = math.inf
    targets = (rng.random((N, 7)) < [0.01, 0.6, 0.1, 0.1, 0.05, 0.02, 0]).astype(np.int64)
    targets[rng.random((N, 7)) < 0.3] = -1
    targets[:, 0] = abs(targets[:, 0])
    for given in (torch.from_numpy(scores), torch.from_numpy(scores).float()):
        binned = average_precision(given, targets, protocol)
        with monkeypatch.context() as patch:
            patch.setattr("gatlabel.metrics.ranking.counts_at_least", lambda *_: None)
            by_sort = average_precision(given, targets, protocol)
        torch.testing.assert_close(binned, by_sort, rtol=0, atol=0, equal_nan=True)


def test_average_precision_of_many_images_equals_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3 * N, 4)).round(2)
    targets = (rng.random((3 * N, 4)) < [0.001, 0.03, 0.3, 0.9]).astype(int)
    for column, value in enumerate(average_precision(scores, targets)):
        wanted = sklearn.average_precision_score(targets[:, column], scores[:, column])
        assert float(value) == pytest.approx(wanted, abs=1e-12)
