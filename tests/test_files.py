"""Files appear whole or not at all, and what cannot be written is named."""

from pathlib import Path

import pytest

from gatlabel.errors import InputError
from gatlabel.files import atomic_path, write_json


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out: it is a folder"):
        write_json(tmp_path / "out", {})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_json(path, [1])

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("[2")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert path.read_text() == "[\n 1\n]\n"
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]
