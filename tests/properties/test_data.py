import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gatlabel.data import folds, stratify
from gatlabel.data.loading import SeededSampler


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(bool, st.tuples(st.integers(24, 60), st.integers(1, 6))),
    st.integers(0, 2**31),
)
def test_every_part_gets_its_share_of_rows_and_each_row_is_in_one(
    present: np.ndarray, seed: int
) -> None:
    fractions = (0.5, 0.25, 0.25)
    parts = stratify(present, fractions, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(present)))
    for rows, share in zip(parts, fractions, strict=True):
        assert abs(len(rows) - share * len(present)) < 1


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50), st.integers(0, 1000), st.integers(0, 5))
def test_an_epoch_visits_each_image_once_and_depends_on_seed_and_epoch_only(
    count: int, seed: int, epoch: int
) -> None:
    running = SeededSampler(count, seed)
    for _ in range(epoch):
        list(running)
    resumed = SeededSampler(count, seed)
    resumed.set_epoch(epoch)
    order = list(running)
    assert order == list(resumed)
    assert sorted(index for index, _ in order) == list(range(count))


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(2, 5), st.integers(0, 2**31))
def test_every_image_is_in_one_fold_and_no_group_in_two(
    data: st.DataObject, count: int, seed: int
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=4 * count, max_size=8 * count))
    groups = data.draw(st.permutations(np.repeat(np.arange(len(sizes)), sizes).tolist()))
    values = st.sampled_from([-1.0, 0.0, 1.0])
    targets = data.draw(hnp.arrays(np.float32, (len(groups), 3), elements=values))
    fold_of = folds(targets, count, groups=groups, seed=seed)
    assert set(fold_of.tolist()) == set(range(count))
    homes: dict[int, set[int]] = {}
    for group, fold in zip(groups, fold_of.tolist(), strict=True):
        homes.setdefault(group, set()).add(fold)
    assert all(len(found) == 1 for found in homes.values())
    held = np.bincount(fold_of)
    assert held.max() - held.min() <= 2 * max(sizes)
    np.testing.assert_array_equal(fold_of, folds(targets, count, groups=groups, seed=seed))
