"""A gain counts only beyond its standard error."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from gatlabel.training.proving import PARTS, RULES, gain, is_not_worse, is_proven


def scores(images: int, labels: int, strength: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(images, labels, generator=generator) < 0.3).float()
    noise = torch.randn(images, labels, generator=generator)
    return noise + strength * targets, targets


def test_difference_and_error_are_those_of_the_slow_definition() -> None:
    first, targets = scores(60, 3, 1.0, 0)
    second, _ = scores(60, 3, 0.0, 1)
    targets[0, 1] = -1
    found, error = gain(first, second, targets, seed=4)

    def slow(rows: np.ndarray) -> float:
        values = []
        for label in range(3):
            kept = rows[targets[rows, label] >= 0]
            truth = targets[kept, label]
            ours, theirs = (average_precision_score(truth, x[kept, label]) for x in (first, second))
            values.append(ours - theirs)
        return float(np.mean(values))

    order = torch.randperm(60, generator=torch.Generator().manual_seed(4)).numpy()
    without = [slow(np.sort(np.setdiff1d(order, order[g::PARTS]))) for g in range(PARTS)]
    expected = np.sqrt((PARTS - 1) / PARTS * np.square(without - np.mean(without)).sum())
    assert found == pytest.approx(slow(np.arange(60)))
    assert error == pytest.approx(expected)


def test_scores_that_are_the_same_have_not_gained() -> None:
    first, targets = scores(40, 4, 1.0, 2)
    assert not is_proven(*gain(first, first, targets))


def test_what_is_clearly_better_has_gained_and_what_is_worse_has_not() -> None:
    good, targets = scores(200, 5, 3.0, 3)
    poor, _ = scores(200, 5, 0.0, 4)
    assert is_proven(*gain(good, poor, targets))
    assert not is_proven(*gain(poor, good, targets))
    assert is_not_worse(*gain(good, poor, targets))
    assert not is_not_worse(*gain(poor, good, targets))


def test_of_equally_good_scores_a_sixth_or_all_but_a_sixth_of_the_trained_are_kept() -> None:
    kept = dict.fromkeys(RULES, 0)
    for seed in range(60):
        first, targets = scores(120, 6, 0.0, 10 + seed)
        noise = torch.Generator().manual_seed(seed)
        ours, theirs = (
            first + 1.0 * targets + torch.randn(first.shape, generator=noise) for _ in range(2)
        )
        for name, rule in RULES.items():
            kept[name] += rule(*gain(ours, theirs, targets))
    assert 2 <= kept["proven"] <= 18
    assert 42 <= kept["unless-worse"] <= 58


def test_without_any_map_the_start_stays() -> None:
    first = torch.randn(10, 2)
    assert not is_proven(*gain(first, first + 1, torch.zeros(10, 2)))


def test_images_of_a_group_are_left_out_together() -> None:
    first, targets = scores(60, 3, 1.0, 0)
    second, _ = scores(60, 3, 0.0, 1)
    groups = [f"patient {k // 3}" for k in range(60)]  # as many as there are parts
    found, error = gain(first, second, targets, groups=groups)
    assert found == pytest.approx(gain(first, second, targets)[0])
    without = [
        gain(*(x[torch.arange(60) // 3 != k] for x in (first, second, targets)))[0]
        for k in range(20)
    ]
    assert error == pytest.approx(np.sqrt(19 / 20 * np.square(without - np.mean(without)).sum()))
    # the same images three times are no more evidence than once
    thrice = [x.repeat_interleave(3, 0) for x in (first, second, targets)]
    assert gain(*thrice, groups=list(np.arange(60).repeat(3)))[1] == pytest.approx(
        gain(first, second, targets)[1]
    )


def test_a_gain_whose_error_is_not_known_is_no_proof() -> None:
    assert not is_proven(0.1, float("nan"))
    assert not is_proven(float("nan"), 0.1)
    assert not is_proven(0.1, 0.1)
    assert is_proven(0.11, 0.1)


def test_a_change_whose_error_is_not_known_is_no_reason_to_keep_trained_weights() -> None:
    assert not is_not_worse(0.1, float("nan"))
    assert not is_not_worse(float("nan"), 0.1)
    assert not is_not_worse(-0.1, 0.1)
    assert is_not_worse(-0.09, 0.1)


@pytest.mark.parametrize("positives", [[0], [0, 1]])
def test_the_error_is_not_known_if_all_depends_on_one_group(positives: list[int]) -> None:
    """Without its images no label has a positive, so that nothing says how far the gain varies."""
    targets = torch.zeros(10, 2)
    targets[positives] = 1
    groups = ["a", "a", *"bcdefghi"]
    worse = torch.arange(10.0)[:, None].expand(10, 2)
    found, error = gain(-worse, worse, targets, groups=groups)
    assert found > 0
    assert np.isnan(error)
