"""Intervals, tests and Holm's correction against slow definitions, and that they hold."""

import numpy as np
import pytest
from scipy.stats import t as student

from gatlabel.experiments.jackknife import Contributions, contributions
from gatlabel.experiments.statistics import (
    LEAST_POSITIVES,
    Difference,
    compare_scores,
    holm,
    paired_difference,
    too_few,
)
from tests.reference import jackknife as reference


def scored(rng: np.random.Generator, targets: np.ndarray, noises: tuple[float, ...]):
    return [targets + rng.normal(0, noise, targets.shape) for noise in noises]


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_the_whole_comparison_is_the_slow_definition(seeds: int, level: float) -> None:
    rng = np.random.default_rng(seeds)
    targets = (rng.random((40, 4)) < 0.4).astype(float)
    ours, theirs = (
        np.stack(scored(rng, targets, (noise,) * seeds)) + 0.3 * rng.normal(size=(seeds, 1, 4))
        for noise in (1.0, 1.6)
    )
    found = compare_scores(ours, theirs, targets, level=level)
    values = np.array([
        reference.mean_ap(a, targets) - reference.mean_ap(b, targets)
        for a, b in zip(ours, theirs, strict=True)
    ])  # fmt: skip
    images = np.stack([
        reference.contributions(a, targets, 0.5) - reference.contributions(b, targets, 0.5)
        for a, b in zip(ours, theirs, strict=True)
    ])  # fmt: skip
    slow = reference.interval(values, images, level)
    assert [found.value, found.low, found.high, found.p] == pytest.approx(slow)


def test_one_seed_may_come_without_its_axis() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 3)) < 0.4).astype(float)
    ours, theirs = scored(rng, targets, (0.5, 2))
    assert compare_scores(ours, theirs, targets) == compare_scores(
        ours[None], theirs[None], targets
    )
    other = compare_scores(theirs, ours, targets)
    assert other.high < 0
    assert other.p == compare_scores(ours, theirs, targets).p


def test_interval_and_test_agree() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        values = rng.normal(0.02, 0.02, 3)
        runs = [Contributions(v, rng.normal(0, 0.002, 30)) for v in values]
        found = paired_difference(runs, [Contributions(0.0, np.zeros(30))] * 3)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_seeds_that_differ_widen_the_interval_and_few_of_them_more() -> None:
    rng = np.random.default_rng(2)
    images, zero = rng.normal(0, 0.0002, 100), [Contributions(0.0, np.zeros(100))]

    def width(*values: float) -> float:
        runs = [Contributions(v, images) for v in values]
        found = paired_difference(runs, zero * len(values))
        return found.high - found.low

    assert width(0.1, 0.1, 0.1) == pytest.approx(width(0.1))
    assert width(0.08, 0.1, 0.12) > 2 * width(0.1)
    # the same standard error, from fewer seeds
    two, eight = width(0.09, 0.11), width(*[0.1 - 0.01 * 7**0.5, 0.1 + 0.01 * 7**0.5] * 4)
    assert two > 3 * eight


def test_noise_of_images_in_single_seeds_is_not_counted_twice() -> None:
    rng = np.random.default_rng(3)
    images = rng.normal(0, 0.003, (4, 200))
    values = np.array([-1.0, 1.0, -1.0, 1.0])
    values *= np.sqrt(((images - images.mean(0)) ** 2).sum() / 3 / values.var(ddof=1))
    found = paired_difference(
        [Contributions(v, c) for v, c in zip(values, images, strict=True)],
        [Contributions(0.0, np.zeros(200))] * 4,
    )
    error = np.sqrt((images.mean(0) ** 2).sum())
    assert found.high - found.low == pytest.approx(2 * student.ppf(0.975, found.df) * error)


def test_no_difference_has_p_1() -> None:
    same = [Contributions(0.5, np.ones(9))] * 2
    assert paired_difference(same, same) == Difference(0, 0, 0, 1)


def test_a_difference_of_which_no_image_varies_has_no_interval() -> None:
    still = [Contributions(v, np.zeros(9)) for v in (0.5, 0.2)]
    found = paired_difference(still[:1], still[1:])
    assert found == Difference(0.3, None, None, None, why="no interval: no image varies")


def test_a_rare_label_no_longer_pushes_the_interval_off_its_estimate() -> None:
    """The percentile interval of such differences lay wholly above them."""
    rng = np.random.default_rng(5)
    targets = (rng.random((200, 40)) < 0.004).astype(float)
    targets[:, :5] = rng.random((200, 5)) < 0.3
    found = compare_scores(*scored(rng, targets, (0.5, 0.7)), targets)
    assert found.low < found.value < found.high
    assert found.high - found.value == pytest.approx(found.value - found.low)


@pytest.mark.parametrize("equal", [True, False])
def test_intervals_have_about_the_nominal_coverage(equal: bool) -> None:
    """Two labels, six positives each; truth by many more draws of the same."""
    rng = np.random.default_rng(0)
    targets = np.zeros((60, 4))
    targets[:6] = 1

    def draw():
        shared = rng.normal(0, 0.6, targets.shape)
        noise = (0.6, 0.6 if equal else 1.2)
        return [s + shared for s in scored(rng, targets, noise)]

    def difference(pair) -> float:
        ours, theirs = (contributions(s, targets).value for s in pair)
        return ours - theirs

    truth = 0.0 if equal else float(np.mean([difference(draw()) for _ in range(1500)]))
    inside = 0
    for _ in range(300):
        found = compare_scores(*draw(), targets)
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 300 <= 0.99


def few(positives: tuple[int, ...], n: int = 60) -> np.ndarray:
    return (np.arange(n)[:, None] < np.array(positives)).astype(float)


@pytest.mark.parametrize(
    ("positives", "why"),
    [
        ((0, 0, 60), "no label has 2 or more positives in the reported images"),
        ((1,) * 50, "no label has 2 or more positives in the reported images"),
        ((19, 1), "the only label with 2 or more positives in the reported images has 19, fewer"),
        ((10, 9, 1), "the 2 labels with 2 or more positives in the reported images have 19"),
    ],
)
def test_too_few_positives_are_reported(positives, why) -> None:
    targets = few(positives)
    assert too_few(targets).startswith(f"no interval: {why}")
    rng = np.random.default_rng(0)
    found = compare_scores(*scored(rng, targets, (1, 2)), targets)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.why == too_few(targets)


@pytest.mark.parametrize("positives", [(LEAST_POSITIVES,), (10, 10), (2,) * 10, (20, 1, 0)])
def test_enough_positives_give_an_interval(positives) -> None:
    assert too_few(few(positives)) == ""


@pytest.mark.parametrize("seed", range(4))
def test_holm_is_the_step_down_procedure(seed: int) -> None:
    p = np.random.default_rng(seed).choice([0.001, 0.01, 0.02, 0.04, 0.3, 0.8], 6).tolist()
    assert holm(p) == pytest.approx(reference.holm(p))


def test_holm_of_nothing_and_of_one() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]
