"""Files appear whole or not at all, and what cannot be written is named."""

from pathlib import Path

import pytest

from gatlabel.errors import InputError
from gatlabel.files import atomic_folder, atomic_path, write_json


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


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "above" / "folder"
    with atomic_folder(target) as temporary:
        (temporary / "a.txt").write_text("1")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "1"
    assert target.stat().st_mode == (tmp_path / "above").stat().st_mode  # not private

    def fail() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "a.txt").write_text("2")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert (target / "a.txt").read_text() == "1"
    with atomic_folder(target) as temporary:
        (temporary / "b.txt").write_text("3")
    assert [path.name for path in target.iterdir()] == ["b.txt"]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_a_folder_behind_a_link_is_replaced_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_folder(tmp_path / "link") as temporary:
        (temporary / "a.txt").write_text("1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").exists()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(InputError, match="cannot write the folder"), atomic_folder(path):
            pass
    assert (tmp_path / "out").read_text() == "mine"
