"""The base test of every reader of a file of labels: a new one joins it by a class of a few lines.

class TestReadLines(ReaderTester):
    read, file = staticmethod(read_lines), "labels.txt"

    def text(self, rows): ...
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from gatlabel.data import DataSplits
from gatlabel.errors import InputError

#: Image and its labels; one image has none.
ROWS = {
    f"images/{n}.png": [name for k, name in enumerate(("red", "green", "blue")) if n % (k + 2) == 0]
    for n in range(1, 15)
}


class ReaderTester:
    """What every reader of one file must do.

    Attributes:
        read: The reader.
        file: The name of its default file.
    """

    read: ClassVar[Callable[..., DataSplits]]
    file: ClassVar[str]

    def text(self, rows: dict[str, list[str]]) -> str:
        """The file that lists images and their labels."""
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """A folder with fourteen images and their labels."""
        (tmp_path / "images").mkdir()
        for image in ROWS:
            Image.new("RGB", (8, 8)).save(tmp_path / image)
        (tmp_path / self.file).write_text(self.text(ROWS))
        return tmp_path

    def test_targets_are_those_of_the_file(self, root: Path) -> None:
        splits = self.read(root)
        assert tuple(splits.labels) == ("blue", "green", "red")
        found = {}
        for _, source in splits.items():
            for image, row in zip(source.ids, np.asarray(source.targets), strict=True):
                found[image] = [name for name, y in zip(splits.labels, row, strict=True) if y == 1]
        assert found == {image: sorted(labels) for image, labels in ROWS.items()}

    def test_a_label_file_gives_the_order(self, root: Path) -> None:
        (root / "names.txt").write_text("red\nblue\ngreen\nyak\n")
        splits = self.read(root, classes=root / "names.txt")
        assert tuple(splits.labels) == ("red", "blue", "green", "yak")
        (root / "names.txt").write_text("red\nblue\n")
        with pytest.raises(InputError, match="'green' is not among the classes"):
            self.read(root, classes=root / "names.txt")

    def test_the_seed_decides_the_split(self, root: Path) -> None:
        first, again, other = (self.read(root, seed=seed) for seed in (0, 0, 1))
        assert list(first.train.ids) == list(again.train.ids)
        assert list(first.train.ids) != list(other.train.ids)
        assert not set(first.train.ids) & set(first.val.ids)

    def test_another_file_may_be_named(self, root: Path) -> None:
        (root / self.file).rename(root / "other.txt")
        assert len(self.read(root, "other.txt").train)
        with pytest.raises(InputError, match=self.file):
            self.read(root)

    def test_missing_images_are_refused_or_left_out(self, root: Path) -> None:
        (root / "images" / "3.png").unlink()
        with pytest.raises(InputError, match=r"3\.png"):
            self.read(root)
        splits = self.read(root, on_error="skip")
        assert sum(len(source) for _, source in splits.items()) == len(ROWS) - 1

    def test_images_listed_twice_are_refused(self, root: Path) -> None:
        text = self.text({"images/1.png": ["red"]})
        (root / self.file).write_text(self.text(ROWS) + text.splitlines()[-1] + "\n")
        with pytest.raises(InputError, match=r"images/1\.png"):
            self.read(root)

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\n\n"])
    def test_wrong_files_are_refused_in_one_line(self, root: Path, content: bytes) -> None:
        (root / self.file).write_bytes(content)
        with pytest.raises(InputError) as caught:
            self.read(root)
        assert "\n" not in str(caught.value)
