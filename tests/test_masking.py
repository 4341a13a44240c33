"""Masking known labels, and corrupting them."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gatlabel.data.scenes import read_scenes
from gatlabel.errors import InputError
from gatlabel.targets import Targets

RNG = np.random.default_rng(5)
TARGETS = RNG.choice([-1, 0, 0, 1, 0.5], size=(60, 40)).astype(np.float32)


def masked(targets: Any, share: float | str, seed: int = 0) -> NDArray[np.float32]:
    return np.asarray(Targets(targets).mask(share, seed))


def corrupted(targets: Any, share: float, seed: int = 0) -> NDArray[np.float32]:
    return np.asarray(Targets(targets).corrupt(share, seed))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_exactly_the_share_of_known_entries_is_masked(share: float) -> None:
    before = TARGETS.copy()
    found = masked(TARGETS, share, seed=2)
    known = int((TARGETS != -1).sum())
    assert int((found != -1).sum()) == known - round(share * known)
    still = found != -1
    assert np.array_equal(found[still], TARGETS[still])
    assert np.array_equal(TARGETS, before)
    assert found.dtype == np.float32


def test_masking_is_reproducible_nested_and_uniform() -> None:
    assert np.array_equal(masked(TARGETS, 0.5, seed=2), masked(TARGETS, 0.5, seed=2))
    assert not np.array_equal(masked(TARGETS, 0.5, seed=2), masked(TARGETS, 0.5, seed=3))
    few, many = masked(TARGETS, 0.3, seed=2), masked(TARGETS, 0.7, seed=2)
    assert (many[few == -1] == -1).all()
    full = np.zeros((30, 10), dtype=np.float32)
    times = sum((masked(full, 0.5, seed=seed) == -1).astype(int) for seed in range(400))
    # binomial(400, 1/2): mean 200, standard deviation 10
    assert times.min() > 150
    assert times.max() < 250


def test_single_positive_keeps_one_present_label_an_image() -> None:
    single = masked(TARGETS, "single", seed=1)
    present = (TARGETS == 1).any(axis=1)
    assert np.array_equal((single == 1).sum(axis=1), present.astype(int))
    assert set(np.unique(single)) == {-1.0, 1.0}
    assert (TARGETS[single == 1] == 1).all()
    assert np.array_equal(single, masked(TARGETS, "single", seed=1))
    none = masked([[0, 0, -1, 0.5]], "single")
    assert (none == -1).all()


def test_single_positive_chooses_evenly() -> None:
    row = np.tile(np.array([1, 0, 1, 1], dtype=np.float32), (3000, 1))
    share = (masked(row, "single", seed=0) == 1).mean(axis=0)
    assert share[1] == 0
    assert np.abs(share[[0, 2, 3]] - 1 / 3).max() < 0.05


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="at least 0 and below 1"):
        masked(TARGETS, share)


def test_tensors_are_copied_too() -> None:
    tensor = torch.from_numpy(TARGETS.copy())
    assert np.array_equal(masked(tensor, 0.5, seed=2), masked(TARGETS, 0.5, seed=2))
    assert np.array_equal(tensor.numpy(), TARGETS)


def test_another_word_than_single_is_refused() -> None:
    with pytest.raises(InputError, match="single"):
        masked(TARGETS, "singel")


def test_corrupted_labels_keep_their_frequencies() -> None:
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 5)) < [0.5, 0.2, 0.05, 0.0, 1.0]).astype(np.float32)
    targets[:20, 0] = -1
    moved = corrupted(targets, 0.4, seed=3)
    np.testing.assert_array_equal((moved == 1).sum(0), (targets == 1).sum(0))
    np.testing.assert_array_equal(moved == -1, targets == -1)
    changed = ((moved != targets) & (targets == 1)).sum(0)
    expected = np.round(0.4 * (targets == 1).sum(0))
    np.testing.assert_array_equal(changed[:3], expected[:3])
    assert changed[3] == changed[4] == 0  # nothing to move, and nowhere to move to
    np.testing.assert_array_equal(corrupted(targets, 0.4, seed=3), moved)
    np.testing.assert_array_equal(corrupted(targets, 0.0), targets)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_of_noise_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="label noise: the share"):
        corrupted(np.eye(3), share)


def test_other_targets_leave_images_alone() -> None:
    scenes = read_scenes("voc", train=6, val=2, test=2, size=48).train
    other = scenes.with_targets(scenes.targets.corrupt(0.5))
    part = other.subset([4, 1])
    assert other.targets.tobytes() != scenes.targets.tobytes()
    assert torch.equal(part.targets.to_dense(), other.targets.rows([4, 1]))
    assert torch.equal(part.load(0), scenes.load(4))
    with pytest.raises(InputError, match="instead of"):
        scenes.with_targets(scenes.targets.take([1, 2]))
