"""Joined sources, and folders of images without labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatlabel.data import FileImages, JoinedImages, unlabelled_images
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet

LABELS = LabelSet(["red", "blue"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(
        ["a.png", "b.jpg", "deep/er/c.PNG", "deep/.hidden.png", "no.txt"]
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "no.txt":
            path.write_text("no image")
        else:
            Image.new("RGB", (8 + number, 6), (40 * number, 0, 0)).save(path)
    return tmp_path


def test_a_folder_without_labels_lists_images_in_order(folder: Path) -> None:
    source = unlabelled_images(folder, LABELS, without=[str(folder / "b.jpg")])
    assert [Path(name).name for name in source.ids] == ["a.png", "c.PNG"]
    assert bool((source.targets.to_dense() == -1).all())
    assert source.load(1).shape == (3, 6, 10)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        unlabelled_images(tmp_path, LABELS)
    with pytest.raises(InputError, match="no such folder"):
        unlabelled_images(tmp_path / "gone", LABELS)


def test_joined_sources_are_one_after_another(folder: Path) -> None:
    first = FileImages(folder, LABELS, ["a.png", "b.jpg"], np.eye(2, dtype=np.float32))
    second = unlabelled_images(folder / "deep", LABELS)
    joined = JoinedImages([first, second])
    assert len(joined) == 3
    assert torch.equal(joined.load(2), second.load(0))
    assert torch.equal(joined.load_at_least(1, 4), first.load_at_least(1, 4))
    assert joined.targets.to_dense().tolist() == [[1, 0], [0, 1], [-1, -1]]
    part = joined.subset([2, 0, 1])
    assert [part.load(k).shape for k in range(3)] == [joined.load(k).shape for k in (2, 0, 1)]
    assert part.targets.to_dense().tolist() == [[-1, -1], [1, 0], [0, 1]]
    assert len(joined.subset([])) == 0
    other = joined.with_targets(torch.zeros(3, 2)).subset([2, 0])
    assert other.targets.to_dense().tolist() == [[0, 0], [0, 0]]
    before = joined.fingerprint()
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    assert joined.fingerprint() != before


def test_an_image_in_two_sources_is_refused(folder: Path) -> None:
    first = unlabelled_images(folder, LABELS)
    with pytest.raises(InputError, match=r"a\.png is in two"):
        JoinedImages([first, first])


def test_images_of_parts_without_groups_are_groups_of_their_own(folder: Path) -> None:
    targets, groups = np.eye(2, dtype=np.float32), ["ann", "ann"]
    known = FileImages(folder, LABELS, ["a.png", "b.jpg"], targets, groups=groups)
    single = unlabelled_images(folder / "deep", LABELS)
    joined = JoinedImages([known, single])
    assert joined.groups is not None
    assert joined.groups[:2] == ("ann", "ann")
    assert joined.groups[2] != "ann"
    assert JoinedImages([single]).groups is None
    part = joined.subset([2, 0])
    assert part.groups is not None
    assert part.groups[1] == "ann"
    assert part.groups[0] != "ann"
    taken = JoinedImages([known.subset([0]), single]).groups
    assert taken is not None
    hostile = FileImages(folder, LABELS, ["a.png", "b.jpg"], targets, groups=[taken[1], "ann"])
    assert len(set(JoinedImages([hostile, single]).groups or ())) == 3
