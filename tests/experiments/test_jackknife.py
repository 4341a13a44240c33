"""Contributions of images to mean average precision, against loops and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from gatlabel.experiments.jackknife import STEP, Thresholds, contributions
from gatlabel.metrics import mean_average_precision
from tests.reference import jackknife as reference


def predictions(rng: np.random.Generator, n: int, labels: int, ties: bool, unknown: float = 0.1):
    shares = [unknown, 0.7 - unknown, 0.3]
    targets = rng.choice([-1.0, 0.0, 1.0], (n, labels), p=shares)
    scores = targets + rng.normal(0, 1.5, (n, labels))
    return (np.round(scores) if ties else scores).astype(np.float32), targets


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("less", [1e-3, STEP, 1.0])
@pytest.mark.parametrize("positives", [2, 3, 9])
def test_less_weight_on_each_image_is_scikit_learns_sample_weight(ties, less, positives) -> None:
    rng = np.random.default_rng(positives)
    targets = np.zeros(30)
    targets[rng.choice(30, positives, replace=False)] = 1
    scores = rng.normal(0, 1, 30) + targets
    scores = np.round(scores) if ties else scores
    label = Thresholds.of(scores[targets == 1], scores[targets == 0])
    assert label.ap == pytest.approx(average_precision_score(targets, scores), abs=1e-12)
    theirs = np.array([
        average_precision_score(targets, scores, sample_weight=1 - less * (np.arange(30) == i))
        for i in range(30)
    ])  # fmt: skip
    positive = label.with_less_of_positives(less)
    np.testing.assert_allclose(positive, theirs[targets == 1], atol=1e-12)
    np.testing.assert_allclose(label.with_less_of_negatives(less), theirs[targets == 0], atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("step", [STEP, 1.0])
@pytest.mark.parametrize("only", [0, 1, 3])
def test_contributions_are_the_slow_definition(ties: bool, step: float, only: int) -> None:
    rng = np.random.default_rng(only)
    scores, targets = predictions(rng, 25, 6, ties)
    for label in range(only):  # of a single positive
        targets[:, label] = np.arange(25) == label
    targets[:, 4] = np.where(np.arange(25) == 7, 0, targets[:, 4].clip(1))  # a single negative
    targets[:, 5] = 0  # not counted
    found = contributions(scores, targets, step)
    np.testing.assert_allclose(
        found.images, reference.contributions(scores, targets, step), atol=1e-12
    )
    assert found.value == pytest.approx(reference.mean_ap(scores, targets), abs=1e-12)


def test_the_value_is_the_packages_map() -> None:
    scores, targets = predictions(np.random.default_rng(4), 60, 5, ties=True)
    targets[:, 3] = targets[:, 3].clip(-1, 0)  # no positive
    targets[:, 4] = np.abs(targets[:, 4]).clip(1)  # no negative
    expected = mean_average_precision(scores, targets).value
    assert contributions(scores, targets).value == pytest.approx(expected, abs=1e-12)


def test_the_delete_one_jackknife_is_that_of_two_samples() -> None:
    scores, targets = predictions(np.random.default_rng(1), 40, 1, ties=False, unknown=0)
    found = (contributions(scores, targets, 1.0).images ** 2).sum()
    variance = 0.0
    for kind in (0, 1):
        rows = np.flatnonzero(targets[:, 0] == kind)
        without = [
            average_precision_score(np.delete(targets[:, 0], i), np.delete(scores[:, 0], i))
            for i in rows
        ]
        variance += (len(rows) - 1) * np.var(without)
    assert found == pytest.approx(variance)


@pytest.mark.parametrize("labels", [1, 4])
def test_images_that_every_label_shares_count_for_more(labels: int) -> None:
    """The same label twice has the variance of one, not half of it."""
    scores, targets = predictions(np.random.default_rng(2), 50, 1, ties=False)
    one = contributions(scores, targets).images
    repeated = np.repeat(scores, labels, 1), np.repeat(targets, labels, 1)
    np.testing.assert_allclose(contributions(*repeated).images, one)


def test_without_a_label_to_count_there_is_no_value() -> None:
    found = contributions(np.zeros((4, 2)), np.array([[1, 0]] * 4))
    assert np.isnan(found.value)
    assert not found.images.any()
