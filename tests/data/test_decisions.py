"""What readers decide where a file leaves something open: each decision is in the notes."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatlabel.data import READERS, DataSplits, read_coco, read_csv, read_json, read_voc
from gatlabel.errors import InputError
from gatlabel.metrics import evaluate_scores
from tests.data.test_voc_reader import write_voc
from tests.data.test_wrong_files import coco, listed, write

CELEBA = "image,split,cat,dog,note\na.png,train,1,-1,x\nb.png,train,-1,1,y\nc.png,val,1,1,z\n"


def noted(splits: DataSplits, text: str) -> bool:
    return any(text in note for note in splits.notes)


@pytest.mark.parametrize(("minus_one", "value"), [("absent", 0), ("unknown", -1)])
def test_the_option_sets_the_meaning_of_minus_one(
    tmp_path: Path, minus_one: Any, value: int
) -> None:
    write(tmp_path, {"labels.csv": CELEBA})
    splits = read_csv(tmp_path, minus_one=minus_one)
    np.testing.assert_array_equal(splits.train.targets, [[1, value], [value, 1]])
    assert noted(splits, f"-1 is read as {minus_one}")


def test_a_zero_shows_that_minus_one_is_unknown(tmp_path: Path) -> None:
    text = "image,split,cat,dog\na.png,train,1,-1\nb.png,train,0,1\nc.png,val,,1\n"
    write(tmp_path, {"labels.csv": text})
    splits = read_csv(tmp_path)
    np.testing.assert_array_equal(splits.train.targets, [[1, -1], [0, 1]])
    assert noted(splits, "-1 is read as unknown, also for labels without any 0 (dog)")
    absent = read_csv(tmp_path, minus_one="absent")
    np.testing.assert_array_equal(absent.train.targets, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(absent.val.targets, [[-1, 1]])  # an empty cell stays unknown
    write_over(tmp_path, text.replace("-1", "0"))
    assert noted(read_csv(tmp_path, minus_one="absent"), "no target is -1")


def write_over(root: Path, text: str) -> None:
    (root / "labels.csv").write_text(text)


def test_presences_without_absences_give_no_figures(tmp_path: Path) -> None:
    """The whole way: a file of 1 and -1, read as unknown, once reported mAP 1.0."""
    write(tmp_path, {"labels.csv": CELEBA})
    splits = read_csv(tmp_path, minus_one="unknown")
    assert noted(splits, "2 labels are present and never known to be absent in train: cat, dog")
    report = evaluate_scores(np.zeros((2, 2)), splits.train.targets, splits.labels)
    assert all(np.isnan(value) for value in report.metrics.values())
    assert report.never_absent == ("cat", "dog")


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["many", "few", "many"], False),
        (["3", "4", "5"], False),
        (["640", "480", "1"], False),
        (["", "", ""], True),
        (["True", "FALSE", ""], True),
        (["1.0", "+0", ".5"], True),
    ],
)
def test_columns_that_are_not_targets_are_named(
    tmp_path: Path, cells: list[str], kept: bool
) -> None:
    rows = [f"{name}.png,{name == 'a':d},{cell}" for name, cell in zip("abc", cells, strict=True)]
    write(tmp_path, {"labels.csv": "\n".join(["image,cat,other", *rows])})
    splits = read_csv(tmp_path, evaluate_only=True)
    assert splits.labels.names == (("cat", "other") if kept else ("cat",))
    assert noted(splits, "columns not read as labels: other") != kept


def test_an_index_column_and_a_comma_at_the_end(tmp_path: Path) -> None:
    text = ",image,cat,\n0,a.png,1,\n1,b.png,0,\n2,c.png,1,\n"
    write(tmp_path, {"labels.csv": text})
    splits = read_csv(tmp_path, evaluate_only=True)
    assert splits.labels.names == ("cat",)
    assert noted(splits, "columns not read as labels: (no name)")


def test_classes_without_a_column_and_unread_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"labels.csv": "image,cat\na.png,1\n", "classes.txt": "cat\nyak\n"})
    assert noted(read_csv(tmp_path, evaluate_only=True), "without a column are unknown: yak")
    write(tmp_path / "two", {"labels.csv": "image,labels,dog\na.png,cat,1\n"})
    assert noted(read_csv(tmp_path / "two", evaluate_only=True), "not read as labels: dog")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("image\tlabels\na.png\tcat|dog\n", {"delimiter": r"\t"}),
        ("image,labels\na.png,cat\tdog\n", {"separator": r"\t"}),
        ("image,labels\na.png,cat; dog\n", {"separator": "; "}),
        ("image,labels\ra.png,cat|dog\r", {}),
        ('\ufeffimage,labels\r\n"a.png","cat|dog"\r\n', {}),
    ],
)
def test_signs_and_line_breaks(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    write(tmp_path, {"labels.csv": text})
    assert read_csv(tmp_path, evaluate_only=True, **options).labels.names == ("cat", "dog")


def test_lines_are_those_where_a_row_starts(tmp_path: Path) -> None:
    write(tmp_path, {"labels.csv": 'image,labels\n\na.png,"cat|\n  dog"\nb.png,"c\nt"\n'})
    with pytest.raises(InputError, match=r"labels\.csv, line 5: .*U\+000A"):
        read_csv(tmp_path)


@pytest.mark.parametrize(
    ("rows", "minus_one", "expected", "per_class"),
    [
        ([[1, 0, 1], [0, 0, 1]], None, [[1, 0, 1], [0, 0, 1]], True),
        ([[1, 0, 1], [0, -1, 0.25]], None, [[1, 0, 1], [0, -1, 0.25]], True),
        ([[1, -1, 1], [-1, -1, 1]], "absent", [[1, 0, 1], [0, 0, 1]], True),
        ([[True, False, True], [False, False, True]], None, [[1, 0, 1], [0, 0, 1]], True),
        ([[1, 0], [0, 2]], None, [[1, 1, 0], [1, 0, 1]], False),
        ([[2, 1, 0], []], None, [[1, 1, 1], [0, 0, 0]], False),
        ([1, "yak"], None, [[0, 1, 0], [0, 0, 1]], False),
    ],
)
def test_positions_or_one_number_per_class(
    tmp_path: Path, rows: Any, minus_one: Any, expected: list[list[float]], per_class: bool
) -> None:
    write(tmp_path, listed(*rows, classes=["cat", "dog", "yak"]))
    splits = read_json(tmp_path, minus_one=minus_one, evaluate_only=True)
    assert splits.test is not None
    np.testing.assert_array_equal(splits.test.targets, np.float32(expected))
    assert noted(splits, "one number per class") == per_class


def test_one_number_per_class_in_two_files_of_other_order(tmp_path: Path) -> None:
    files = listed([1, 0, 0], classes=["cat", "dog", "yak"])
    files["v.json"] = {
        "metainfo": {"classes": ["yak", "dog", "cat"]},
        "data_list": [{"img_path": "b.png", "gt_label": [1, 0, 0]}],
    }
    write(tmp_path, files)
    splits = read_json(tmp_path, val_file="v.json")
    np.testing.assert_array_equal(splits.train.targets, [[1, 0, 0]])
    np.testing.assert_array_equal(splits.val.targets, [[0, 0, 1]])


def test_a_split_that_agrees_with_its_file(tmp_path: Path) -> None:
    files = listed({"img_path": "a.png", "gt_label": ["cat"], "split": "trainval"})
    write(tmp_path, {**files, "v.json": [{"img_path": "b.png", "gt_label": ["cat"]}]})
    assert len(read_json(tmp_path, val_file="v.json").train) == 1


@pytest.mark.parametrize("ids", [(1.0, 2.0), ("x", "y"), (-1, 0), (2**62, 2**62 + 1)])
def test_coco_ids_of_every_proper_kind(tmp_path: Path, ids: tuple[Any, Any]) -> None:
    one, two = ids
    content = coco(
        images=[{"id": one, "file_name": "a.png"}, {"id": two, "file_name": "b.png"}],
        annotations=[{"image_id": two, "category_id": two, "iscrowd": None}],
        categories=[{"id": two, "name": "dog"}, {"id": one, "name": " cat"}],
    )
    write(tmp_path, content)
    splits = read_coco(tmp_path, test="t.json", evaluate_only=True)
    assert splits.labels.names == ("cat", "dog")
    assert splits.test is not None
    np.testing.assert_array_equal(splits.test.targets, [[0, 0], [0, 1]])


def test_voc_lists_with_blank_lines_and_of_one_label(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": {"a": [("dog", 0)], "b c": [("cat", 0)]}})
    (tmp_path / "ImageSets/Main/train.txt").write_text("\n a  1\r\n  \nb c\n")
    splits = read_voc(tmp_path, test="train", evaluate_only=True, train="none", val=None)
    assert splits.test is not None
    assert splits.test.ids == ("JPEGImages/a.jpg", "JPEGImages/b c.jpg")


def test_hard_links_are_images_of_their_own(tmp_path: Path) -> None:
    """Tools that save space make them of equal images that data sets list twice."""
    write(tmp_path, {"labels.csv": "image,labels\na.png,cat\nlinked.png,cat\n"})
    os.link(tmp_path / "a.png", tmp_path / "linked.png")
    splits = read_csv(tmp_path, evaluate_only=True)
    assert splits.test is not None
    assert len(splits.test) == 2
    assert noted(splits, "1 images are hard links")


def test_every_reader_takes_the_option_where_it_means_something() -> None:
    names = {name: read.__kwdefaults__ or {} for name, read in READERS.items()}
    assert {name for name, options in names.items() if "minus_one" in options} == {"csv", "json"}


def test_a_json_file_of_one_image(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(json.dumps([{"img_path": "a.png", "gt_label": "cat"}]))
    (tmp_path / "a.png").touch()
    assert len(dict(read_json(tmp_path, evaluate_only=True).items())["test"]) == 1


def test_empty_cells_are_counted(tmp_path: Path) -> None:
    text = "image,split,cat,dog\na.png,train,1,0\nb.png,train,,1\nc.png,val,0,\n"
    write(tmp_path, {"labels.csv": text})
    splits = read_csv(tmp_path)
    assert np.asarray(splits.train.targets).tolist() == [[1, 0], [-1, 1]]
    assert noted(splits, "empty cells are read as unknown (2)")
