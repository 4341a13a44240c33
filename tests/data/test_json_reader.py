import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatlabel.data import read_json
from gatlabel.errors import InputError
from tests.data.sample_images import save_image


def write(root: Path, value: Any, file: str = "labels.json") -> None:
    (root / file).write_text(json.dumps(value))


def entries(*labels: Any, start: int = 0) -> list[dict[str, Any]]:
    return [{"img_path": f"{start + k}.png", "gt_label": given} for k, given in enumerate(labels)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k in range(6):
        save_image(tmp_path / f"{k}.png")
        save_image(tmp_path / "inside" / f"{k}.png")
    return tmp_path


def test_mmpretrain_files_one_a_split(root: Path) -> None:
    meta = {"classes": ["dog", "cat", "yak"]}
    write(root, {"metainfo": meta, "data_list": entries([0, 2], [])}, "train.json")
    write(root, {"metainfo": meta, "data_list": entries(1, start=2)}, "val.json")
    splits = read_json(root, "train.json", val_file="val.json", images="inside")
    assert splits.labels.names == ("dog", "cat", "yak")
    assert splits.train.ids == ("inside/0.png", "inside/1.png")
    np.testing.assert_array_equal(splits.train.targets, [[1, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(splits.val.targets, [[0, 1, 0]])


def test_a_plain_list_with_names_and_splits(root: Path) -> None:
    rows = entries(["cat"], ["dog", "cat"], ["dog"])
    for row, part in zip(rows, ("train", "val", "test"), strict=True):
        row["split"] = part
    write(root, rows)
    splits = read_json(root)
    assert splits.labels.names == ("cat", "dog")
    assert splits.test is not None
    np.testing.assert_array_equal(splits.val.targets, [[1, 1]])
    np.testing.assert_array_equal(splits.test.targets, [[0, 1]])


def test_class_files_and_a_split_made_here(root: Path) -> None:
    write(root, entries([0], [1], [0], [1], [0], [1]))
    with pytest.raises(InputError, match="entry 0: label 0 is a position, but there are no"):
        read_json(root)
    (root / "classes.txt").write_text("cat\ndog\n")
    splits = read_json(root, fractions=(0.6, 0.4, 0))
    assert splits.labels.names == ("cat", "dog")
    assert len(splits.train) + len(splits.val) == 6


def test_positions_follow_the_file_and_columns_the_class_file(root: Path) -> None:
    write(root, {"metainfo": {"classes": ["dog", "cat"]}, "data_list": entries([0], [1], [1])})
    (root / "order.txt").write_text("cat\ndog\n")
    splits = read_json(root, classes=root / "order.txt", evaluate_only=True)
    assert splits.test is not None
    np.testing.assert_array_equal(splits.test.targets, [[0, 1], [1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "lists no images"),
        ({"metainfo": {}}, "lists no images"),
        ("text", "lists no images"),
        ([{"gt_label": [0]}], "entry 0: expected an object with 'img_path'"),
        (["0.png"], "entry 0: expected an object"),
        ([{"img_path": "0.png"}], "entry 0: 'gt_label' has to be"),
        (entries(["a"], None), "entry 1: 'gt_label' has to be"),
        (entries([0.5]), "label 0.5 is neither"),
        (entries([True]), "label True is neither"),
        ({"metainfo": {"classes": ["a", "b"]}, "data_list": entries([2])}, "2 is out of range"),
        ({"metainfo": {"classes": ["a", "b"]}, "data_list": entries([-1])}, "-1 is out of range"),
        ({"metainfo": {"classes": ["a", "a"]}, "data_list": entries([0])}, "appears twice"),
        ({"metainfo": {"classes": ["cat"]}, "data_list": entries(["cta"])}, "did you mean 'cat'"),
        ([{"img_path": "0.png", "gt_label": ["a"], "split": "tain"}], "did you mean 'train'"),
    ],
)
def test_mistakes_are_named(root: Path, value: Any, message: str) -> None:
    write(root, value)
    with pytest.raises(InputError, match=message) as caught:
        read_json(root)
    assert "labels.json" in str(caught.value)


def test_classes_of_two_files_have_to_agree(root: Path) -> None:
    write(root, {"metainfo": {"classes": ["a", "b"]}, "data_list": entries([0])}, "t.json")
    write(root, {"metainfo": {"classes": ["a"]}, "data_list": entries([0], start=1)}, "v.json")
    with pytest.raises(InputError, match=r"v\.json do not match; missing: 'b'"):
        read_json(root, "t.json", val_file="v.json")
    (root / "broken.json").write_text("[{]")
    with pytest.raises(InputError, match=r"broken\.json is not JSON: line 1"):
        read_json(root, "broken.json")
