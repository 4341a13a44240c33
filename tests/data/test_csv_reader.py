from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.data import ImageDataset, annotations, loader, read_csv
from gatlabel.encoders import Preprocessing
from gatlabel.errors import InputError
from tests.data.sample_images import write_csv

ROWS = "a.png,train,cat|dog\nb.png,train,\nc.png,val,dog\nd.png,test,cow\n"


def test_label_column_splits_and_labels_seen(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,split,labels\n" + ROWS)
    splits = read_csv(tmp_path)
    assert splits.labels.names == ("cat", "cow", "dog")
    assert splits.train.ids == ("a.png", "b.png")
    np.testing.assert_array_equal(splits.train.targets, [[1, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(splits.val.targets, [[0, 0, 1]])
    assert splits.test is not None
    np.testing.assert_array_equal(splits.test.targets, [[0, 1, 0]])
    assert np.asarray(splits.train.targets).dtype == np.float32
    assert splits.val.load(0)[:, 0, 0].tolist() == [40, 30, 60]
    assert any("never present in train: cow" in note for note in splits.notes)


def test_class_file_beside_or_given_sets_the_labels_and_their_order(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,split,labels\n" + ROWS)
    (tmp_path / "classes.txt").write_text("dog\ncow\ncat\nyak\n")
    splits = read_csv(tmp_path)
    assert splits.labels.names == ("dog", "cow", "cat", "yak")
    np.testing.assert_array_equal(np.asarray(splits.train.targets)[0], [1, 0, 1, 0])
    assert any("1 of 4 labels are never present: yak" in note for note in splits.notes)
    (tmp_path / "few.txt").write_text("dog\ncow\n")
    with pytest.raises(InputError, match=r"labels\.csv, line 2: label 'cat' is not among"):
        read_csv(tmp_path, classes=tmp_path / "few.txt")


def test_unknown_and_difficult_columns(tmp_path: Path) -> None:
    text = "image,split,labels,unknown,difficult\na.png,train,cat,dog,cow\nb.png,val,cat|cow,,\n"
    write_csv(tmp_path, text)
    expected = {"unknown": -1, "positive": 1, "negative": 0}
    for difficult, value in expected.items():
        splits = read_csv(tmp_path, difficult=difficult)  # type: ignore[arg-type]
        assert splits.labels.names == ("cat", "cow", "dog")
        np.testing.assert_array_equal(splits.train.targets, [[1, value, -1]])
        assert any(f"1 images) are read as {difficult}" in note for note in splits.notes)
    write_csv(tmp_path, "image,split,labels,unknown\na.png,train,cat,cat\n")
    with pytest.raises(InputError, match="line 2: label 'cat' is both"):
        read_csv(tmp_path)


def test_one_hot_columns_are_found(tmp_path: Path) -> None:
    text = "image,split,cat,note,dog\na.png,train,1,x,0\nb.png,val,-1,y,0.25\nc.png,val,,z,1\n"
    write_csv(tmp_path, text)
    splits = read_csv(tmp_path)
    assert splits.labels.names == ("cat", "dog")
    np.testing.assert_array_equal(splits.train.targets, [[1, 0]])
    np.testing.assert_array_equal(splits.val.targets, np.float32([[-1, 0.25], [-1, 1]]))
    assert "columns not read as labels: note" in splits.notes
    (tmp_path / "labels.csv").write_text(text.replace("split", "Split").replace("note", "dificult"))
    noted = next(
        note for note in read_csv(tmp_path, fractions=(0.5, 0.5, 0.0)).notes if "not read" in note
    )
    assert "Split; did you mean 'split'?" in noted
    assert "dificult; did you mean 'difficult'?" in noted
    write_csv(tmp_path, text)
    one = read_csv(tmp_path, label_columns=["dog"])
    assert one.labels.names == ("dog",)
    with pytest.raises(InputError, match=r"line 2, column 'note': 'x' is not a target"):
        read_csv(tmp_path, label_columns=["dog", "note"])


def test_one_hot_classes_without_a_column_are_unknown(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,split,cat\na.png,train,1\nb.png,val,0\n")
    (tmp_path / "classes.txt").write_text("cat\nyak\n")
    np.testing.assert_array_equal(read_csv(tmp_path).train.targets, [[1, -1]])


def test_other_signs_and_column_names(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_csv(root, "file;use;tags\n", images=False)
    text = '\ufefffile;use;tags\r\n"a.png";Training;cat, dog\r\n\r\n b.png;VALID;"dog"\r\n'
    (root / "tags.csv").write_bytes(text.encode())
    write_csv(root, "image\na.png\nb.png\n")
    names = {"image_column": "file", "label_column": "tags", "split_column": "use"}
    splits = read_csv(root, "tags.csv", separator=",", delimiter=";", **names)  # type: ignore[arg-type]
    assert splits.name == "tags"
    assert splits.train.ids + splits.val.ids == ("a.png", "b.png")
    np.testing.assert_array_equal(splits.train.targets, [[1, 1]])


def test_without_a_split_column_the_split_is_made_here(tmp_path: Path) -> None:
    rows = "".join(f"{k}.png,{'cat' if k % 2 else 'dog'}\n" for k in range(20))
    write_csv(tmp_path, "image,labels\n" + rows)
    splits = read_csv(tmp_path, fractions=(0.6, 0.2, 0.2), seed=1)
    assert splits.test is not None
    assert [len(source) for _, source in splits.items()] == [12, 4, 4]
    assert [np.asarray(source.targets).sum(axis=0).tolist() for _, source in splits.items()] == [
        [6, 6],
        [2, 2],
        [2, 2],
    ]
    whole = read_csv(tmp_path, evaluate_only=True)
    assert whole.test is not None
    assert (len(whole.train), len(whole.val), len(whole.test)) == (0, 0, 20)


def test_the_split_column_can_be_passed_over(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,split,labels\n" + ROWS.replace("test", "nonsense"))
    with pytest.raises(InputError, match=r"line 5: unknown split 'nonsense'"):
        read_csv(tmp_path)
    splits = read_csv(tmp_path, split_column=None, fractions=(0.5, 0.5, 0))
    assert (len(splits.train), len(splits.val), splits.test) == (2, 2, None)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("image,labels\na.png,cat\n", {"image_column": "images"}, "did you mean 'image'"),
        ("image,label\na.png,cat\n", {}, "no label column 'labels'; did you mean 'label'"),
        ("image,split\na.png,train\n", {}, "no label column 'labels'"),
        ("image,labels\na.png,cat\n", {"split_column": "sets"}, "no split column 'sets'"),
        ("image,labels\na.png,cat\n", {"label_columns": ["label"]}, "did you mean 'labels'"),
        ("image,labels\na.png,cat\n", {"difficult_column": "hard"}, "no difficult column"),
        ("image,labels,labels\na.png,cat,\n", {}, "two columns named 'labels'"),
        ("image,split,labels\na.png,trian,cat\n", {}, "line 2: unknown split 'trian'; did you"),
        (
            "image,labels\na.png,cat\nb.png,dog\na.png,cat\n",
            {},
            r"line 4: a.png is already listed .*line 2",
        ),
        ("image,labels\na.png,cat,dog\n", {}, "line 2: 3 cells, but the first line names 2"),
        ("image,labels\n ,cat\n", {}, "line 2: the image's path is empty"),
        ("image,labels\n", {}, "lists no images"),
        ("image,labels\na.png,\n", {}, "no image has a label"),
        ("image,split,labels\na.png,val,cat\n", {}, "no train split, only val"),
    ],
)
def test_mistakes_are_named_in_one_line(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    write_csv(tmp_path, text, images=False)
    for line in text.splitlines()[1:]:
        (tmp_path / line.split(",")[0].strip()).with_suffix(".png").touch()
    with pytest.raises(InputError, match=message) as caught:
        read_csv(tmp_path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "labels.csv" in str(caught.value) or tmp_path.name in str(caught.value)


def test_missing_images_are_listed_or_left_out(tmp_path: Path) -> None:
    write_csv(tmp_path, "image,split,labels\n" + ROWS + "e.png,train,cat\nf.png,train,cat\n")
    for name in ("a.png", "e.png"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=r"2 of 6 images are missing below .*: a\.png, e\.png"):
        read_csv(tmp_path)
    splits = read_csv(tmp_path, on_error="skip")
    assert splits.train.ids == ("b.png", "f.png")
    assert any("skipped: 2 of 6 images are missing" in note for note in splits.notes)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the CSV file .*nowhere.labels\.csv"):
        read_csv(tmp_path / "nowhere")


def test_real_images_of_voc(shared_data: Path) -> None:
    splits = read_csv(shared_data / "voc2007-part")
    assert (len(splits.train), len(splits.val), splits.test) == (508, 488, None)
    assert len(splits.labels) == 20
    assert (np.asarray(splits.train.targets) == -1).any()
    assert ((np.asarray(splits.val.targets) == 1).sum(axis=0) >= 10).sum() == 8
    assert min(splits.train.load(0).shape[1:]) == 128


def test_real_images_of_coco_list_the_absent_labels(shared_data: Path) -> None:
    splits = read_csv(shared_data / "coco-part")
    assert len(splits.labels) == 80
    assert len(splits.train) + len(splits.val) == 254
    note = next(note for note in splits.notes if "never present:" in note)
    assert note == "4 of 80 labels are never present: parking meter, cow, toaster, hair drier"


def test_splits_of_very_many_targets_are_sparse(
    tiny_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = read_csv(tiny_csv)
    monkeypatch.setattr(annotations, "MOST_DENSE", 0)
    found = read_csv(tiny_csv)
    assert found.notes == dense.notes
    for (_, ours), (_, theirs) in zip(found.items(), dense.items(), strict=True):
        assert ours.targets.is_sparse
        assert ours.subset([1, 0]).targets.is_sparse
        np.testing.assert_array_equal(ours.targets, theirs.targets)
        assert ours.ids == theirs.ids
    transform = Preprocessing(16).transform()
    batches = [
        next(iter(loader(ImageDataset(splits.train, transform), 4, train=False)))
        for splits in (found, dense)
    ]
    assert torch.equal(batches[0].targets["labels"], batches[1].targets["labels"])
