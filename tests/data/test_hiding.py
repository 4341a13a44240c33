"""Hiding known labels, and making them wrong."""

import numpy as np
import pytest
import torch

from gatlabel.data import hide_labels, move_labels, single_positive
from gatlabel.data.scenes import read_scenes
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


def test_tensors_are_copied_too() -> None:
    tensor = torch.from_numpy(TARGETS.copy())
    assert np.array_equal(hide_labels(tensor, 0.5, seed=2), hide_labels(TARGETS, 0.5, seed=2))
    assert np.array_equal(tensor.numpy(), TARGETS)


def test_targets_have_rows_and_columns() -> None:
    with pytest.raises(InputError, match=r"\(N, L\)"):
        hide_labels([1.0, 0.0], 0.5)
    with pytest.raises(InputError, match=r"\(N, L\)"):
        single_positive([1.0, 0.0])


def test_moved_labels_keep_their_frequencies() -> None:
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 5)) < [0.5, 0.2, 0.05, 0.0, 1.0]).astype(np.float32)
    targets[:20, 0] = -1
    moved = move_labels(targets, 0.4, seed=3)
    np.testing.assert_array_equal((moved == 1).sum(0), (targets == 1).sum(0))
    np.testing.assert_array_equal(moved == -1, targets == -1)
    changed = ((moved != targets) & (targets == 1)).sum(0)
    expected = np.round(0.4 * (targets == 1).sum(0))
    np.testing.assert_array_equal(changed[:3], expected[:3])
    assert changed[3] == changed[4] == 0  # nothing to move, and nowhere to move to
    np.testing.assert_array_equal(move_labels(targets, 0.4, seed=3), moved)
    np.testing.assert_array_equal(move_labels(targets, 0.0), targets)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_to_move_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="label_noise"):
        move_labels(np.eye(3), share)


def test_other_targets_leave_pictures_alone() -> None:
    scenes = read_scenes("voc", train=6, val=2, test=2, size=48).train
    other = scenes.with_targets(move_labels(scenes.targets, 0.5))
    part = other.subset([4, 1])
    assert (other.targets != scenes.targets).any()
    np.testing.assert_array_equal(part.targets, other.targets[[4, 1]])
    assert torch.equal(part.load(0), scenes.load(4))
    with pytest.raises(InputError, match="in place of"):
        scenes.with_targets(scenes.targets[1:])
