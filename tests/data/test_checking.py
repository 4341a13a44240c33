import os
from pathlib import Path

import numpy as np
import pytest

from gatlabel.data import check_images, check_splits, read_csv
from gatlabel.errors import InputError
from tests.data.sample_images import DrawnImages, save_image, write_csv

TEXT = "image,split,labels\na.png,train,cat\nb.png,train,dog\nc.png,val,cat\nd.png,val,dog\n"


def break_image(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def test_sound_images_pass_unchanged(tmp_path: Path) -> None:
    write_csv(tmp_path, TEXT)
    splits = read_csv(tmp_path)
    assert check_images(splits.train) == (splits.train, ())
    assert check_splits(splits).notes == splits.notes


def test_broken_images_stop_or_are_left_out_and_counted(tmp_path: Path) -> None:
    write_csv(tmp_path, TEXT)
    break_image(tmp_path / "b.png")
    splits = read_csv(tmp_path)
    with pytest.raises(InputError, match=r"1 of 2 images of the train split .*: b\.png \(can"):
        check_splits(splits)
    checked = check_splits(splits, "skip")
    assert checked.train.ids == ("a.png",)
    np.testing.assert_array_equal(checked.train.targets, [[1, 0]])
    assert checked.val is splits.val
    expected = "skipped: 1 of 2 images of the train split cannot be decoded: b.png"
    assert checked.notes == (*splits.notes, expected)


def test_a_split_with_broken_images_only_is_an_error(tmp_path: Path) -> None:
    write_csv(tmp_path, TEXT)
    for name in ("c.png", "d.png"):
        break_image(tmp_path / name)
    with pytest.raises(InputError, match="none of the 2 images of the val split"):
        check_splits(read_csv(tmp_path), "skip")


def test_sources_without_files_are_not_drawn_for_it() -> None:
    source = DrawnImages(np.ones((3, 1), dtype=np.float32))
    assert check_images(source) == (source, ())
    assert source.asked == []
    with pytest.raises(InputError, match="unknown on-error 'ignore'"):
        check_images(source, "ignore")  # type: ignore[arg-type]


def test_the_limit_on_pixels_holds_at_the_check_and_ever_after(tmp_path: Path) -> None:
    write_csv(tmp_path, TEXT)
    save_image(tmp_path / "b.png", size=40)
    splits = read_csv(tmp_path)
    with pytest.raises(InputError, match=r"b\.png \(.*48 x 40 is more than 1,000 pixels; max"):
        check_splits(splits, max_pixels=1000)
    checked = check_splits(splits, "skip", max_pixels=1000)
    assert checked.train.ids == ("a.png",)
    save_image(tmp_path / "a.png", size=40)
    with pytest.raises(InputError, match="more than 1,000 pixels"):
        checked.train.load_at_least(0, 8)
    assert read_csv(tmp_path).train.load(0).shape == (3, 40, 48)


def test_a_pipe_is_found_by_the_check(tmp_path: Path) -> None:
    write_csv(tmp_path, TEXT)
    source = read_csv(tmp_path).train
    (tmp_path / "b.png").unlink()
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b\.png: it is a pipe"):
        check_images(source)
