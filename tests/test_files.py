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


def write_folder(target: Path, content: str, *names: str, fail: str = "") -> None:
    """Writes files and ``last.txt``, the one that makes the folder complete."""
    with atomic_folder(target, last="last.txt", replaces={"last.txt", "a.txt"}) as temporary:
        for name in ("last.txt", *names):
            (temporary / name).write_text(content)
        if fail:
            raise RuntimeError(fail)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "above" / "folder"
    with pytest.raises(RuntimeError, match="interrupted"):
        write_folder(target, "1", "a.txt", fail="interrupted")
    assert not list((tmp_path / "above").iterdir())
    write_folder(target, "1", "a.txt")
    assert target.stat().st_mode == (tmp_path / "above").stat().st_mode  # not private
    with pytest.raises(RuntimeError, match="interrupted"):
        write_folder(target, "2", "a.txt", fail="interrupted")
    assert contents(target) == {"a.txt": "1", "last.txt": "1"}
    write_folder(target, "3", "b.txt")
    assert contents(target) == {"b.txt": "3", "last.txt": "3"}
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


class Interrupting:
    """Counts renames and interrupts one, before or after it was done; those after it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> None:
        self.moved: list[str] = []
        self.at, self.error, self.rename = at, error, Path.rename
        monkeypatch.setattr(Path, "rename", lambda source, target: self(source, target))

    def __call__(self, source: Path, target: Path) -> None:
        count = len(self.moved)
        self.moved.append(f"{source.parent.name}/{source.name}")
        if 2 * count == self.at:
            raise self.error
        self.rename(source, target)
        if 2 * count + 1 == self.at:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("at", range(8))
def test_an_interrupt_while_files_are_moved_undoes_it(
    at: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the four moves it comes at, before or after the move is done."""
    target = tmp_path / "folder"
    write_folder(target, "1", "a.txt")
    with monkeypatch.context() as patch:
        Interrupting(patch, at, error)
        with pytest.raises((KeyboardInterrupt, InputError)):
            write_folder(target, "2", "a.txt")
    assert contents(target) == {"a.txt": "1", "last.txt": "1"}
    assert [path.name for path in tmp_path.rglob("*.txt") if path.parent != target] == []
    write_folder(target, "3", "a.txt")


@pytest.mark.parametrize("at", [0, 1])
def test_an_interrupt_while_a_new_folder_appears(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Interrupting(patch, at, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_folder(tmp_path / "folder", "1", "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"] * at


def test_what_cannot_be_put_back_is_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "folder", Path.rename
    write_folder(target, "1", "a.txt")

    def out_only(source: Path, to: Path) -> None:
        if to.parent == target:
            raise OSError(5, "Input/output error")
        rename(source, to)

    monkeypatch.setattr(Path, "rename", out_only)
    with pytest.raises(InputError, match=r"folder: Input/output error; what stood there is in "):
        write_folder(target, "2", "a.txt")
    (old,) = target.glob(".gatlabel-*/old")
    assert contents(old) == {"a.txt": "1", "last.txt": "1"}


def test_a_folder_that_stands_there_stays_and_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a working directory, which would be lost, or a mount point, which cannot move."""
    target = tmp_path / "folder"
    target.mkdir()
    monkeypatch.chdir(target)
    node = target.stat().st_ino
    with monkeypatch.context() as patch:
        calls = Interrupting(patch, -1, KeyboardInterrupt())
        write_folder(Path(), "1", "a.txt")
        write_folder(Path(), "2", "a.txt")
    assert target.stat().st_ino == node
    assert contents(Path()) == {"a.txt": "2", "last.txt": "2"}
    # complete whenever the last file is there: it comes last, and is the first to go
    first, second = ["new/a.txt", "new/last.txt"], ["folder/last.txt", "folder/a.txt"]
    assert calls.moved == [*first, *second, *first]


def test_other_things_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    write_folder(target, "1", "a.txt")
    (target / "photo.jpg").write_text("mine")
    with pytest.raises(InputError, match=r"folder also holds photo\.jpg, which is not replaced"):
        write_folder(target, "2", "a.txt")
    (target / "photo.jpg").unlink()

    def late() -> None:
        with atomic_folder(target, last="last.txt", replaces={"last.txt", "a.txt"}):
            (target / "photos").mkdir()

    with pytest.raises(InputError, match="folder also holds photos, which is not replaced"):
        late()
    (target / "photos").rmdir()
    assert contents(target) == {"a.txt": "1", "last.txt": "1"}


def test_a_folder_behind_a_link_is_written_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    for content in ("1", "2"):
        write_folder(tmp_path / "link", content, "a.txt")
        assert (tmp_path / "link").is_symlink()
        assert contents(tmp_path / "real") == {"a.txt": content, "last.txt": content}


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(InputError, match="cannot write the folder"):
            write_folder(path, "1")
    assert (tmp_path / "out").read_text() == "mine"
