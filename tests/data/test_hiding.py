"""Hiding known labels."""

import numpy as np
import pytest

from gatlabel.data import hide_labels, single_positive
from gatlabel.errors import InputError

RNG = np.random.default_rng(5)
TARGETS = RNG.choice([-1, 0, 0, 1, 0.5], size=(60, 40)).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_exactly_the_share_of_known_entries_is_hidden(share: float) -> None:
    before = TARGETS.copy()
    hidden = hide_labels(TARGETS, share, seed=2)
    known = int((TARGETS != -1).sum())
    assert int((hidden != -1).sum()) == known - round(share * known)
    still = hidden != -1
    assert np.array_equal(hidden[still], TARGETS[still])
    assert np.array_equal(TARGETS, before)
    assert hidden.dtype == np.float32


def test_hiding_is_reproducible_nested_and_uniform() -> None:
    assert np.array_equal(hide_labels(TARGETS, 0.5, seed=2), hide_labels(TARGETS, 0.5, seed=2))
    assert not np.array_equal(hide_labels(TARGETS, 0.5, seed=2), hide_labels(TARGETS, 0.5, seed=3))
    few, many = hide_labels(TARGETS, 0.3, seed=2), hide_labels(TARGETS, 0.7, seed=2)
    assert (many[few == -1] == -1).all()
    full = np.zeros((30, 10), dtype=np.float32)
    times = sum((hide_labels(full, 0.5, seed=seed) == -1).astype(int) for seed in range(400))
    # binomial(400, 1/2): mean 200, standard deviation 10
    assert times.min() > 150
    assert times.max() < 250


def test_single_positive_keeps_one_present_label_a_picture() -> None:
    single = single_positive(TARGETS, seed=1)
    present = (TARGETS == 1).any(axis=1)
    assert np.array_equal((single == 1).sum(axis=1), present.astype(int))
    assert set(np.unique(single)) == {-1.0, 1.0}
    assert (TARGETS[single == 1] == 1).all()
    assert np.array_equal(single, single_positive(TARGETS, seed=1))
    none = single_positive([[0, 0, -1, 0.5]])
    assert (none == -1).all()


def test_single_positive_chooses_evenly() -> None:
    row = np.tile(np.array([1, 0, 1, 1], dtype=np.float32), (3000, 1))
    share = (single_positive(row, seed=0) == 1).mean(axis=0)
    assert share[1] == 0
    assert np.abs(share[[0, 2, 3]] - 1 / 3).max() < 0.05


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="at least 0 and below 1"):
        hide_labels(TARGETS, share)


def test_targets_have_rows_and_columns() -> None:
    with pytest.raises(InputError, match=r"\(N, L\)"):
        hide_labels([1.0, 0.0], 0.5)
    with pytest.raises(InputError, match=r"\(N, L\)"):
        single_positive([1.0, 0.0])
