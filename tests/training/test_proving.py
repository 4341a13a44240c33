"""A gain counts only beyond its standard error."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from gatlabel.training.proving import GROUPS, gain, is_proven


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
    without = [slow(np.sort(np.setdiff1d(order, order[g::GROUPS]))) for g in range(GROUPS)]
    expected = np.sqrt((GROUPS - 1) / GROUPS * np.square(without - np.mean(without)).sum())
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


def test_of_equally_good_scores_the_trained_are_kept_in_about_a_sixth_of_cases() -> None:
    kept = 0
    for seed in range(60):
        first, targets = scores(120, 6, 0.0, 10 + seed)
        noise = torch.Generator().manual_seed(seed)
        ours, theirs = (
            first + 1.0 * targets + torch.randn(first.shape, generator=noise) for _ in range(2)
        )
        kept += is_proven(*gain(ours, theirs, targets))
    assert 2 <= kept <= 18


def test_without_any_map_the_start_stays() -> None:
    first = torch.randn(10, 2)
    assert not is_proven(*gain(first, first + 1, torch.zeros(10, 2)))
