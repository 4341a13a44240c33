"""Folds and splits that keep groups together."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gatlabel.data import complete_splits, folds, read_csv, read_json, split, stratify
from gatlabel.data.source import DataSplits
from gatlabel.errors import InputError
from gatlabel.experiments.splits import share_of, split_for_tuning
from tests.data.sample_images import DrawnImages, save_image, write_csv


def grouped(count: int, seed: int, size: int = 4) -> tuple[np.ndarray, list[str]]:
    """Targets that are similar within a group, and the groups."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, count // size, count)
    usual = rng.random((count // size, 8)) < np.geomspace(0.5, 0.05, 8)
    noise = rng.random((count, 8)) < 0.1
    return (usual[groups] ^ noise).astype(np.float32), [f"p{group}" for group in groups]


def deviation(targets: np.ndarray, fold_of: np.ndarray) -> float:
    """Mean over labels and folds of |share of the label's images - share wanted|."""
    count = fold_of.max() + 1
    shares = [(targets[fold_of == fold] == 1).sum(0) for fold in range(count)]
    return float(np.abs(np.array(shares) / (targets == 1).sum(0) - 1 / count).mean())


def test_label_shares_of_grouped_folds_are_balanced() -> None:
    ours, chance = [], []
    for seed in range(5):
        targets, groups = grouped(300, seed)
        fold_of = folds(targets, 5, groups=groups, seed=seed)
        ours.append(deviation(targets, fold_of))
        drawn = np.random.default_rng(seed).integers(0, 5, 75)
        chance.append(deviation(targets, drawn[[int(group[1:]) for group in groups]]))
        assert np.bincount(fold_of).max() - np.bincount(fold_of).min() <= 8
    assert np.mean(ours) < np.mean(chance) / 2


def test_groups_of_one_image_and_no_groups_are_the_same() -> None:
    targets, _ = grouped(90, 0)
    alone = folds(targets, 4, groups=range(90), seed=3)
    np.testing.assert_array_equal(alone, folds(targets, 4, seed=3))
    parts = stratify(targets == 1, [1.0] * 4, 3)
    np.testing.assert_array_equal(np.flatnonzero(alone == 2), parts[2])
    assert deviation(targets, alone) < 0.03
    assert (alone != folds(targets, 4, seed=4)).any()


def test_unknown_targets_are_in_folds_too() -> None:
    targets = np.full((10, 2), -1, np.float32)
    targets[:5, 0] = 1
    fold_of = folds(targets, 5)
    assert sorted(fold_of[:5]) == sorted(fold_of[5:]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("count", "groups", "message"),
    [
        (1, None, "folds=1: give a whole number of at least 2"),
        (2.0, None, "folds=2.0: give"),
        (True, None, "folds=True: give"),
        (11, None, "folds=11: there are only 10 images"),
        (3, ["a"] * 5 + ["b"] * 5, "there are 3 parts but only 2 groups"),
        (3, ["a", *"bbbbbbb", "c", "d"], "the group 'b' has 7 of 10 images, too many to stay"),
        (2, ["a"], "1 groups for 10 images"),
    ],
)
def test_what_cannot_be_divided_is_one_line(count, groups, message: str) -> None:
    with pytest.raises(InputError, match=message):
        folds(np.ones((10, 1), np.float32), count, groups=groups)


def test_no_part_stays_empty_where_groups_differ_in_size() -> None:
    groups = [*"aaaaaaaa", "b", "c"]
    parts = stratify(np.ones((10, 1), bool), (0.7, 0.2, 0.1), 0, groups)
    assert [len(rows) for rows in parts] == [8, 1, 1]


class GroupedImages(DrawnImages):
    """Drawn images with groups, which their subsets keep."""

    def __init__(self, targets: np.ndarray, groups: list[str]) -> None:
        super().__init__(targets)
        self.groups = tuple(groups)

    def subset(self, indices):
        part = super().subset(indices)
        part.groups = tuple(self.groups[index] for index in indices)
        return part


def torn(splits: DataSplits) -> set[str]:
    parts = [set(source.groups) for _, source in splits.items()]
    return {g for k, one in enumerate(parts) for other in parts[k + 1 :] for g in one & other}


def test_splits_that_are_made_keep_groups_together() -> None:
    targets, groups = grouped(200, 1)
    made = split(GroupedImages(targets, groups), seed=2)
    assert not torn(made)
    assert "keeping groups together" in made.notes[0]
    assert [len(source) for _, source in made.items()] == pytest.approx([140, 30, 30], abs=8)
    cut = complete_splits("set", {"train": GroupedImages(targets, groups)}, seed=2)
    assert not torn(cut)
    assert any("no val split" in note and "keeping groups together" in note for note in cut.notes)
    assert not any(note.startswith("warning") for note in (*made.notes, *cut.notes))


def write_grouped(root: Path, splits: str = "") -> Path:
    """Twelve images, two of each patient."""
    rows = [f"{k}.png,{'cat' if k % 3 else 'dog'},p{k // 2}" for k in range(12)]
    head = "image,labels,patient"
    if splits:
        head, rows = (
            f"{head},split",
            [f"{r},{s}" for r, s in zip(rows, splits.split(), strict=True)],
        )
    write_csv(root, "\n".join([head, *rows]))
    return root


def test_a_csv_column_gives_the_groups(tmp_path: Path) -> None:
    splits = read_csv(write_grouped(tmp_path), group_column="patient", fractions=(0.5, 0.25, 0.25))
    assert not torn(splits)
    assert {g for _, source in splits.items() for g in source.groups} == {f"p{k}" for k in range(6)}
    for _, source in splits.items():
        ids = [int(name.split(".")[0]) for name in source.ids]
        assert [f"p{k // 2}" for k in ids] == list(source.groups)
    assert read_csv(tmp_path, fractions=(0.5, 0.25, 0.25)).train.groups is None


def test_a_group_column_is_not_a_label_column(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,cat,video\na.png,1,1\nb.png,0,0\nc.png,1,1\nd.png,0,0\n")
    splits = read_csv(tmp_path, group_column="video", fractions=(0.5, 0.5, 0.0))
    assert splits.labels.names == ("cat",)
    assert [set(splits.train.groups), set(splits.val.groups)] in ([{"0"}, {"1"}], [{"1"}, {"0"}])


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (
            "train val train train val val test test train test train train",
            r"1 group has images in train and in val \('p0'\); 1 group has .* in test \('p4'\)",
        ),
        ("train train val val test test train train val val test test", None),
    ],
)
def test_a_given_split_that_divides_groups_is_reported(tmp_path, order: str, said) -> None:
    splits = read_csv(write_grouped(tmp_path, order), group_column="patient")
    warnings = [note for note in splits.notes if note.startswith("warning: ")]
    assert len(warnings) == (said is not None)
    if said:
        assert re.search(said, warnings[0])
        assert len(splits.train) == 6  # it stays the file's own split
    quiet = read_csv(tmp_path)
    assert not any(note.startswith("warning") for note in quiet.notes)


def test_wrong_groups_of_a_csv_are_one_line(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,labels,patient\na.png,cat,p1\nb.png,dog, \n")
    with pytest.raises(InputError, match=r"labels\.csv, line 3: the group is empty"):
        read_csv(tmp_path, group_column="patient")
    with pytest.raises(InputError, match=r"has no group column 'pateint'; did you mean 'patient'"):
        read_csv(tmp_path, group_column="pateint")


def write_list(root: Path, entries: list[dict]) -> None:
    for entry in entries:
        save_image(root / entry["img_path"])
    (root / "labels.json").write_text(json.dumps(entries))


def entries(groups: list) -> list[dict]:
    return [
        {"img_path": f"{k}.png", "gt_label": ["cat" if k % 2 else "dog"], "video": group}
        for k, group in enumerate(groups)
    ]


def test_a_json_key_gives_the_groups(tmp_path: Path) -> None:
    write_list(tmp_path, entries([k // 2 for k in range(12)]))
    splits = read_json(tmp_path, group_column="video", fractions=(0.5, 0.25, 0.25))
    assert not torn(splits)
    assert splits.train.groups is not None
    assert read_json(tmp_path).train.groups is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a", ""], r"labels\.json, entry 1: the group is empty"),
        (["a", True], r"labels\.json, entry 1: the group is True, expected a text or a number"),
        (["a", None], r"labels\.json, entry 1: the group is None"),
    ],
)
def test_wrong_groups_of_a_json_are_one_line(tmp_path: Path, groups, message: str) -> None:
    write_list(tmp_path, entries(groups))
    with pytest.raises(InputError, match=message):
        read_json(tmp_path, group_column="video")
    with pytest.raises(InputError, match="entry 0: it has no 'place', the key of its group"):
        read_json(tmp_path, group_column="place")


def test_cuts_of_a_benchmark_keep_groups_together() -> None:
    targets, groups = grouped(120, 3)
    groups_of = np.array(groups)
    for seed in range(3):
        learn, tune = split_for_tuning(targets, seed, groups)
        assert not set(groups_of[learn]) & set(groups_of[tune])
        assert sorted([*learn, *tune]) == list(range(120))
        drawn = share_of(targets, 0.5, seed, groups)
        assert not set(groups_of[drawn]) & set(np.delete(groups_of, drawn))


def test_a_rare_label_is_chosen_by_with_its_whole_group() -> None:
    targets = np.zeros((50, 1), np.float32)
    targets[[3, 20]] = 1
    groups = [f"p{k // 2}" for k in range(50)]
    for seed in range(5):
        learn, tune = split_for_tuning(targets, seed, groups)
        assert targets[learn].sum() == targets[tune].sum() == 1
        assert sorted([*learn, *tune]) == list(range(50))
        assert not {groups[row] for row in learn} & {groups[row] for row in tune}
    targets[:] = 0
    targets[[2, 3]] = 1
    with pytest.raises(InputError, match="all that have a label are in one group"):
        split_for_tuning(targets, 0, groups)
