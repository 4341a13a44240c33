import numpy as np
import pytest

from gatlabel.data import complete_splits, split, stratify
from gatlabel.data.splits import similar_names, split_of
from gatlabel.errors import InputError
from tests.data.sample_images import DrawnImages


def long_tailed(N: int, seed: int = 0) -> np.ndarray:
    rates = np.geomspace(0.5, 0.01, 12)
    return np.random.default_rng(seed).random((N, 12)) < rates


def deviation(present: np.ndarray, parts: list[np.ndarray], share: np.ndarray) -> float:
    """Mean over labels and parts of |share of the label's rows - share wanted|."""
    counts = np.array([present[rows].sum(axis=0) for rows in parts])
    return float(np.abs(counts / present.sum(axis=0) - share[:, None]).mean())


def test_stratified_parts_are_as_even_as_those_of_iterstrat() -> None:
    iterstrat = pytest.importorskip("iterstrat.ml_stratifiers")
    share = np.array([0.75, 0.25])
    ours, theirs, chance = [], [], []
    for seed in range(5):
        present = long_tailed(400, seed)
        present = present[:, present.sum(axis=0) > 0]
        ours.append(deviation(present, stratify(present, share, seed), share))
        shuffle = iterstrat.MultilabelStratifiedShuffleSplit(1, test_size=0.25, random_state=seed)
        parts = list(next(shuffle.split(np.zeros(len(present)), present.astype(int))))
        theirs.append(deviation(present, parts, share))
        order = np.random.default_rng(seed).permutation(len(present))
        chance.append(deviation(present, [order[:300], order[300:]], share))
    assert np.mean(ours) <= np.mean(theirs) * 1.2
    assert np.mean(ours) < np.mean(chance) / 2


def test_parts_are_a_partition_that_the_seed_decides() -> None:
    present = long_tailed(200)
    parts = stratify(present, (0.7, 0.15, 0.15), 3)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
    again = stratify(present, (0.7, 0.15, 0.15), 3)
    other = stratify(present, (0.7, 0.15, 0.15), 4)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(parts, other, strict=True))


def test_rows_without_labels_and_single_rows_of_a_label() -> None:
    present = np.zeros((20, 2), dtype=bool)
    present[0, 0] = True
    train, val = stratify(present, (0.8, 0.2), 0)
    assert (len(train), len(val)) == (16, 4)
    assert 0 in train  # the only row of the label goes where there is most to learn


def test_labels_that_occur_once_do_not_all_go_to_train() -> None:
    parts = stratify(np.eye(10, dtype=bool), (0.7, 0.15, 0.15), 0)
    assert [len(rows) for rows in parts] == [7, 2, 1]


def test_too_few_rows_and_wrong_fractions() -> None:
    with pytest.raises(InputError, match="2 images are too few"):
        stratify(np.ones((2, 1), dtype=bool), (0.7, 0.15, 0.15), 0)
    with pytest.raises(InputError, match="must be positive"):
        stratify(np.ones((2, 1), dtype=bool), (1.0, 0.0), 0)
    source = DrawnImages(np.ones((9, 1), dtype=np.float32))
    with pytest.raises(InputError, match="first two must be positive"):
        split(source, (1.0, 0.0, 0.0))


def parts_of(*sizes: int) -> list[DrawnImages]:
    return [DrawnImages(np.float32(long_tailed(size, size))) for size in sizes]


def test_val_is_cut_from_train_if_there_is_none() -> None:
    train, test = parts_of(100, 30)
    splits = complete_splits("set", {"train": train, "test": test}, seed=5)
    assert (len(splits.train), len(splits.val)) == (82, 18)
    assert splits.test is test
    assert set(splits.train.ids) | set(splits.val.ids) == set(train.ids)
    assert any("18 of 100 train images were taken" in note for note in splits.notes)
    without_test = complete_splits("set", {"train": train})
    assert without_test.test is None


def test_given_splits_stay_as_they_are() -> None:
    train, val = parts_of(10, 5)
    splits = complete_splits("set", {"train": train, "val": val}, notes=["said"])
    assert splits.train is train
    assert splits.val is val
    assert splits.notes[0] == "said"


def test_no_train_or_an_empty_split_is_an_error() -> None:
    (some,) = parts_of(10)
    with pytest.raises(InputError, match="no train split, only test"):
        complete_splits("set", {"test": some})
    with pytest.raises(InputError, match="split 'val' of set is empty"):
        complete_splits("set", {"train": some, "val": some.subset([])})
    with pytest.raises(InputError, match="set has no images"):
        complete_splits("set", {})


def test_for_evaluation_a_test_split_suffices() -> None:
    (some,) = parts_of(10)
    splits = complete_splits("set", {"test": some}, evaluate_only=True)
    assert (len(splits.train), len(splits.val)) == (0, 0)
    assert splits.test is some
    assert splits.labels == some.labels
    assert complete_splits("set", {"all": some}, evaluate_only=True).test is some


def test_unknown_targets_count_as_absent_in_the_division() -> None:
    targets = np.full((10, 1), -1, dtype=np.float32)
    targets[:4] = 1
    splits = split(DrawnImages(targets), (0.5, 0.5, 0))
    assert (
        (np.asarray(splits.train.targets) == 1).sum()
        == (np.asarray(splits.val.targets) == 1).sum()
        == 2
    )


def test_names_of_splits() -> None:
    assert [split_of(name, "x") for name in ("Train", " validation", "TEST")] == [
        "train",
        "val",
        "test",
    ]
    with pytest.raises(InputError, match=r"^here: unknown split 'tset'; did you mean 'test'"):
        split_of("tset", "here")


def test_names_that_differ_only_in_case_or_blanks_are_noted() -> None:
    assert similar_names(["cat", "dog", "a b"]) == []
    (note,) = similar_names(["cat", "Cat", "black cat", "black  cat", "CAT"])
    assert note.startswith("labels that differ only in case or blanks are different labels: ")
    assert note.endswith("'cat' and 'Cat', 'black cat' and 'black  cat', 'cat' and 'CAT'")
