"""Bootstrap and Holm's correction against slow definitions and scikit-learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from gatlabel.errors import InputError
from gatlabel.experiments.resampling import (
    map_of_blocks,
    resample_weights,
    resampled_map,
    weight_blocks,
    weighted_ap,
)
from gatlabel.experiments.statistics import (
    Difference,
    draw_seeds,
    holm,
    paired_difference,
    seed_means,
)
from gatlabel.metrics import mean_average_precision
from tests.reference import bootstrap as reference


def predictions(rng: np.random.Generator, n: int, labels: int, ties: bool):
    targets = rng.choice([-1.0, 0.0, 1.0], (n, labels), p=[0.1, 0.6, 0.3])
    scores = targets + rng.normal(0, 1.5, (n, labels))
    return (np.round(scores) if ties else scores).astype(np.float32), targets


def test_weights_are_resamples_with_replacement() -> None:
    weights = resample_weights(40, 300, seed=1)
    assert (weights.sum(0) == 40).all()
    assert abs((weights == 0).mean() - (1 - 1 / 40) ** 40) < 0.01
    np.testing.assert_array_equal(weights, resample_weights(40, 300, seed=1))
    assert (weights != resample_weights(40, 300, seed=2)).any()


@pytest.mark.parametrize("n", [1, 2, 37, 400, 65_536])
def test_weights_are_those_of_the_slow_definition(n: int) -> None:
    count = 7 if n > 1000 else 40
    slow = reference.resample_weights(n, count, seed=5)
    np.testing.assert_array_equal(resample_weights(n, count, seed=5), slow)
    blocks = list(weight_blocks(n, count, seed=5, block=3))
    assert [b.shape[1] for b in blocks] == [3] * (count // 3) + [1]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), slow)
    # of the smallest type that holds the sum of a column
    assert {b.dtype for b in blocks} == {np.dtype(np.int32 if n > 65_535 else np.uint16)}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 60, 900])
def test_map_of_resamples_is_the_slow_definition_to_the_last_bit(n: int, ties: bool) -> None:
    rng = np.random.default_rng(n)
    scores, targets = predictions(rng, n, 4, ties)
    targets[:, 3] = np.where(np.arange(n) == n // 2, 1, 0)  # in a third of the resamples none
    slow = reference.resampled_map(scores, targets, reference.resample_weights(n, 40, seed=1))
    blocks = weight_blocks(n, 40, seed=1, block=8)
    np.testing.assert_array_equal(map_of_blocks(scores, targets, blocks), slow)
    weights = resample_weights(n, 40, seed=1)
    np.testing.assert_array_equal(resampled_map(scores, targets, weights, block=9), slow)
    np.testing.assert_array_equal(resampled_map(scores, targets, weights.astype(np.int64)), slow)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_weighted_ap_is_scikit_learns(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = predictions(rng, 30, 1, ties)
    weights = resample_weights(30, 50, seed)
    ours = weighted_ap(scores[:, 0], targets[:, 0], weights)
    known = targets[:, 0] != -1
    for column in range(50):
        theirs = average_precision_score(
            targets[known, 0], scores[known, 0], sample_weight=weights[known, column]
        )
        assert ours[column] == pytest.approx(theirs, abs=1e-12)


def test_without_a_positive_there_is_no_ap() -> None:
    scores, targets = np.array([0.3, 0.2, 0.1]), np.array([1.0, 0.0, 0.0])
    weights = np.array([[0, 1], [2, 1], [1, 1]], dtype=np.int32)
    np.testing.assert_array_equal(weighted_ap(scores, targets, weights), [np.nan, 1.0])
    assert np.isnan(weighted_ap(scores, 0 * targets, weights)).all()


def test_weights_of_one_give_the_packages_map() -> None:
    scores, targets = predictions(np.random.default_rng(4), 60, 5, ties=True)
    ones = np.ones((60, 3), dtype=np.int32)
    expected = mean_average_precision(scores, targets).value
    np.testing.assert_allclose(resampled_map(scores, targets, ones, block=2), expected, atol=1e-12)


def test_the_whole_comparison_is_the_slow_definition() -> None:
    rng = np.random.default_rng(3)
    n, labels, seeds, resamples = 25, 3, 3, 40
    targets = predictions(rng, n, labels, ties=False)[1]
    ours, theirs = (
        np.stack([targets + rng.normal(0, noise, (n, labels)) for _ in range(seeds)])
        for noise in (1.0, 1.6)
    )
    weights, drawn = resample_weights(n, resamples, 7), draw_seeds(seeds, resamples, 7)
    maps = [np.stack([resampled_map(s, targets, weights) for s in x]) for x in (ours, theirs)]
    fast = seed_means(maps[0], drawn) - seed_means(maps[1], drawn)
    rows = [np.repeat(np.arange(n), column) for column in weights.T]
    slow = reference.resampled_differences(ours, theirs, targets, rows, drawn)
    np.testing.assert_allclose(fast, slow, atol=1e-12)

    one, two = (
        np.array([reference.mean_ap(s, targets) for s in scores]) for scores in (ours, theirs)
    )
    found = paired_difference(one, two, seed_means(maps[0], drawn), seed_means(maps[1], drawn))
    assert found.value == pytest.approx(np.mean(one) - np.mean(two))
    np.testing.assert_allclose([found.low, found.high], np.percentile(slow, [2.5, 97.5]))
    wrong = min((slow <= 0).sum(), (slow >= 0).sum())
    assert found.p == pytest.approx(min(1, 2 * (wrong + 1) / 41))


def test_no_difference_has_p_1_and_a_clear_one_the_least() -> None:
    zeros, ones = np.zeros(2), np.ones(2)
    same = paired_difference(ones, ones, np.full(99, 0.5), np.full(99, 0.5))
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    clear = paired_difference(ones, zeros, np.linspace(0.2, 0.4, 99), np.zeros(99))
    assert clear.p == pytest.approx(2 / 100)
    mirrored = paired_difference(zeros, ones, np.zeros(99), np.linspace(0.2, 0.4, 99))
    assert (mirrored.value, mirrored.low, mirrored.high) == (-1, -clear.high, -clear.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(0), 0
    for trial in range(60):
        targets = (rng.random((80, 2)) < 0.4).astype(float)
        # two equally good contenders: the true difference is 0
        both = [targets + rng.normal(0, 1, targets.shape) for _ in range(2)]
        weights = resample_weights(80, 200, trial)
        maps = [resampled_map(scores, targets, weights) for scores in both]
        point = [np.array([mean_average_precision(s, targets).value]) for s in both]
        found = paired_difference(*point, *maps)
        covered += found.low <= 0 <= found.high
    assert 50 <= covered <= 60


def test_resamples_without_a_positive_are_left_out() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(0.51, 0.01, 200), rng.normal(0.5, 0.01, 200)
    whole = paired_difference(np.ones(1), np.zeros(1), ours, theirs)
    assert whole.left_out == 0
    holes = np.insert(ours, 7 + np.zeros(10, int), np.nan)  # 10 of 210 are fewer than 5 %
    others = np.insert(theirs, 7 + np.zeros(10, int), np.nan)
    found = paired_difference(np.ones(1), np.zeros(1), holes, others)
    assert found == dataclasses.replace(whole, left_out=10)


def test_with_more_than_5_percent_left_out_there_is_no_interval_and_no_test() -> None:
    ours = np.where(np.arange(200) < 11, np.nan, 0.5)
    found = paired_difference(np.ones(1), np.zeros(1), ours, ours)
    assert found == Difference(1.0, None, None, None, 11)


def test_no_resamples_are_refused() -> None:
    with pytest.raises(InputError, match="needs resamples"):
        paired_difference(np.ones(1), np.ones(1), np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("seed", range(4))
def test_holm_is_the_step_down_procedure(seed: int) -> None:
    p = np.random.default_rng(seed).choice([0.001, 0.01, 0.02, 0.04, 0.3, 0.8], 6).tolist()
    assert holm(p) == pytest.approx(reference.holm(p))


def test_holm_of_nothing_and_of_one() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]
