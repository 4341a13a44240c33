from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gatlabel.data import VOC_LABELS, read_voc
from gatlabel.errors import InputError
from tests.data.sample_images import save_image

Objects = Sequence[tuple[str, int]]


def write_voc(folder: Path, sets: dict[str, dict[str, Objects]]) -> None:
    """VOCdevkit as published: an object's part has a name too, which is no label."""
    for image_set, images in sets.items():
        listing = folder / "ImageSets" / "Main" / f"{image_set}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("".join(f"{name}\n" for name in images))
        for name, objects in images.items():
            things = "".join(
                f"<object><name>{label}</name><difficult>{hard}</difficult>"
                "<part><name>head</name></part></object>"
                for label, hard in objects
            )
            xml = folder / "Annotations" / f"{name}.xml"
            xml.parent.mkdir(parents=True, exist_ok=True)
            xml.write_text(f"<annotation><filename>{name}.jpg</filename>{things}</annotation>")
            save_image(folder / "JPEGImages" / f"{name}.jpg")


SETS: dict[str, dict[str, Objects]] = {
    "train": {"000001": [("dog", 0), ("person", 1)], "000002": [("cat", 1), ("cat", 0)]},
    "val": {"000003": [("person", 0)]},
    "test": {"000004": []},
    "trainval": {
        "000001": [("dog", 0), ("person", 1)],
        "000002": [("cat", 1), ("cat", 0)],
        "000003": [("person", 0)],
    },
}


@pytest.mark.parametrize("inside", ["VOCdevkit/VOC2007", "VOC2007", "."])
def test_sets_and_difficult_objects(tmp_path: Path, inside: str) -> None:
    write_voc(tmp_path / inside, SETS)
    for difficult, value in (("unknown", -1), ("positive", 1), ("negative", 0)):
        splits = read_voc(tmp_path, difficult=difficult)  # type: ignore[arg-type]
        assert splits.labels == VOC_LABELS
        assert splits.test is not None
        first = dict(zip(VOC_LABELS, np.asarray(splits.train.targets)[0], strict=True))
        assert (first["dog"], first["person"], first["cat"]) == (1, value, 0)
        assert (
            np.asarray(splits.train.targets)[1].sum() == 1
        )  # one cat is easy, so the label is present
        assert np.asarray(splits.test.targets).sum() == 0
        assert f"labels that have difficult objects only are read as {difficult}" in splits.notes
    assert splits.name == "VOC2007"
    assert splits.train.load(0).shape == (3, 24, 32)


def test_trainval_with_val_cut_from_it(tmp_path: Path) -> None:
    write_voc(tmp_path, SETS)
    splits = read_voc(tmp_path, train="trainval", val=None, test="test", fractions=(0.6, 0.4, 0))
    assert splits.test is not None
    assert (len(splits.train), len(splits.val), len(splits.test)) == (2, 1, 1)
    with pytest.raises(InputError, match="already listed"):
        read_voc(tmp_path, train="trainval", val="val")


def test_a_missing_test_set_is_reported(tmp_path: Path) -> None:
    write_voc(tmp_path, {name: SETS[name] for name in ("train", "val")})
    splits = read_voc(tmp_path)
    assert splits.test is None
    assert "there is no image set test, so no test split" in splits.notes


def test_evaluating_on_the_test_set_alone(tmp_path: Path) -> None:
    write_voc(tmp_path, {"test": SETS["test"]})
    splits = read_voc(tmp_path, evaluate_only=True)
    assert splits.test is not None
    assert len(splits.test) == 1


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no VOCdevkit/VOC2012/ImageSets/Main"):
        read_voc(tmp_path, year="2012")
    write_voc(tmp_path, SETS)
    with pytest.raises(InputError, match=r"no image set .*trian\.txt; did you mean 'train'"):
        read_voc(tmp_path, train="trian")
    with pytest.raises(InputError, match="unknown VOC year to download '2077'"):
        read_voc(tmp_path, year="2077", download=True)
    (tmp_path / "classes.txt").write_text("dog\nperson\n")
    with pytest.raises(InputError, match=r"000002\.xml: label 'cat' is not among the classes"):
        read_voc(tmp_path, classes=tmp_path / "classes.txt")
    (tmp_path / "JPEGImages" / "000001.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 4 images are missing .*000001\.jpg"):
        read_voc(tmp_path)
    broken = tmp_path / "Annotations" / "000001.xml"
    broken.write_text("<annotation><object>")
    with pytest.raises(InputError, match=r"000001\.xml is not XML"):
        read_voc(tmp_path)
    broken.write_text("<annotation><object></object></annotation>")
    with pytest.raises(InputError, match=r"000001\.xml has an object without a name"):
        read_voc(tmp_path)
    broken.unlink()
    with pytest.raises(InputError, match=r"cannot read the VOC annotation .*000001\.xml"):
        read_voc(tmp_path)


def test_labels_are_the_twenty_in_published_order(shared_data: Path) -> None:
    lines = (shared_data / "voc2007-part" / "classes.txt").read_text().split()
    np.testing.assert_array_equal(list(VOC_LABELS), lines)
