import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatlabel.data import read_coco
from gatlabel.errors import InputError
from tests.data.sample_images import save_image

CATEGORIES = [{"id": 44, "name": "bottle"}, {"id": 1, "name": "person"}, {"id": 90, "name": "yak"}]


def content(names: list[str], instances: list[tuple[int, int, int]]) -> dict[str, Any]:
    return {
        "images": [{"id": 10 + k, "file_name": name} for k, name in enumerate(names)],
        "annotations": [
            {"id": k, "image_id": image, "category_id": category, "iscrowd": crowd}
            for k, (image, category, crowd) in enumerate(instances)
        ],
        "categories": CATEGORIES,
    }


def write_coco(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    train = content(["a.jpg", "b.jpg"], [(10, 1, 0), (10, 1, 1), (10, 44, 1)])
    val = content(["c.jpg"], [(10, 44, 0)])
    for part, names, rows in (("train", "ab", train), ("val", "c", val)):
        file = root / "annotations" / f"instances_{part}2017.json"
        file.write_text(json.dumps(rows))
        for name in names:
            save_image(root / f"{part}2017" / f"{name}.jpg")


def test_labels_by_category_id_and_crowds(tmp_path: Path) -> None:
    write_coco(tmp_path)
    for crowd, value in (("positive", 1), ("unknown", -1), ("negative", 0)):
        splits = read_coco(tmp_path, crowd=crowd)  # type: ignore[arg-type]
        assert splits.labels.names == ("person", "bottle", "yak")
        np.testing.assert_array_equal(splits.train.targets, [[1, value, 0], [0, 0, 0]])
        assert any(note.endswith(f"crowds count as {crowd}") for note in splits.notes)
    assert splits.train.ids == ("train2017/a.jpg", "train2017/b.jpg")
    assert splits.name == "COCO2017"
    assert splits.test is None
    assert splits.val.load(0).shape == (3, 24, 32)


def test_empty_images_are_kept_or_dropped_and_counted(tmp_path: Path) -> None:
    write_coco(tmp_path)
    kept, dropped = read_coco(tmp_path), read_coco(tmp_path, drop_empty=True)
    assert (len(kept.train), len(dropped.train)) == (2, 1)
    assert any("train: 1 of 2 images have no instance and are kept" in n for n in kept.notes)
    assert any("have no instance and are skipped" in note for note in dropped.notes)


def test_user_data(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(10)]
    rows = content(names, [(10 + k, 1 if k % 2 else 44, 0) for k in range(10)])
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    for name in names:
        save_image(tmp_path / "images" / name)
    splits = read_coco(tmp_path, train="boxes.json", fractions=(0.8, 0.2, 0))
    assert (len(splits.train), len(splits.val)) == (8, 2)
    assert splits.name == tmp_path.name
    assert splits.val.ids[0].startswith("images/")
    tested = read_coco(tmp_path, test="boxes.json", images="images", evaluate_only=True)
    assert tested.test is not None
    assert len(tested.test) == 10


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the COCO annotation file"):
        read_coco(tmp_path)
    with pytest.raises(InputError, match=r"has no annotations/instances_\*2017\.json"):
        read_coco(tmp_path, evaluate_only=True)
    with pytest.raises(InputError, match="unknown COCO year to download '2016'"):
        read_coco(tmp_path, year="2016", download=True)
    file = tmp_path / "own.json"
    good = content(["a.png"], [(10, 1, 0)])
    for broken, message in (
        ({"images": []}, "no list 'annotations'"),
        ([1], "no list 'images'"),
        ({**good, "categories": [{"id": 1}]}, "every category needs"),
        ({**good, "categories": [*CATEGORIES, {"id": 3, "name": "yak"}]}, "'yak' appears twice"),
        (content(["a.png"], [(11, 1, 0)]), "missing image, image_id 11"),
        (content(["a.png"], [(10, 2, 0)]), "missing category, category_id 2"),
    ):
        file.write_text(json.dumps(broken))
        with pytest.raises(InputError, match=message) as caught:
            read_coco(tmp_path, train="own.json")
        assert "own.json" in str(caught.value)
    file.write_text(json.dumps(good))
    other = {**content(["b.png"], []), "categories": CATEGORIES[:2]}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"other\.json do not match; missing: 'yak'"):
        read_coco(tmp_path, train="own.json", val="other.json")
    with pytest.raises(InputError, match=r"1 of 1 images are missing .*a\.png"):
        read_coco(tmp_path, train="own.json")
