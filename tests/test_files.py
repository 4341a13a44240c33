"""Files appear whole or not at all, and what cannot be written is named."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gatlabel.errors import InputError
from gatlabel.files import atomic_folder, atomic_path, remove_leftovers, write_json, write_text


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
    """Counts renames and interrupts one of them, before or after it is done; later ones work."""

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
    with pytest.raises(InputError, match=r"folder: Input/output error; the old files are in "):
        write_folder(target, "2", "a.txt")
    (old,) = target.glob(".gatlabel-*/old")
    assert contents(old) == {"a.txt": "1", "last.txt": "1"}


def test_an_existing_folder_is_kept_and_filled(
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
    with pytest.raises(InputError, match=r"folder also contains photo\.jpg, which is not replaced"):
        write_folder(target, "2", "a.txt")
    (target / "photo.jpg").unlink()

    def late() -> None:
        with atomic_folder(target, last="last.txt", replaces={"last.txt", "a.txt"}):
            (target / "photos").mkdir()

    with pytest.raises(InputError, match="folder also contains photos, which is not replaced"):
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


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".gatlabel-")]


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE],
)
@pytest.mark.parametrize("step", ["open", "fsync", "replace", "block"])
def test_whatever_keeps_a_file_from_being_written_is_named(
    step: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text("old")

    def fail(*arguments, **keywords) -> None:
        raise OSError(number, os.strerror(number))

    def write() -> None:
        with atomic_path(tmp_path / "a.json") as temporary:
            temporary.write_text("new")
            if step == "block":
                fail()

    with monkeypatch.context() as patch:
        if step != "block":
            patch.setattr(os, step, fail)
        with pytest.raises(InputError, match=f"cannot write .*a.json: {os.strerror(number)}$"):
            write()
    assert (tmp_path / "a.json").read_text() == "old"
    assert not leftovers(tmp_path)


def raise_from(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


FULL = OSError(errno.ENOSPC, "No space left on device")
WRITER = "[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (Exception("I/O error: File too large (os error 27)"), None, "File too large"),
        (RuntimeError(WRITER), None, "the file is incomplete; is the disk full"),
        (RuntimeError(WRITER), FULL, "No space left on device"),
        (ValueError("write to closed file"), FULL, "No space left on device"),
        (OSError("encoder error -2 when writing image file"), None, "is the disk full"),
        (UnicodeEncodeError("utf-8", "a\ud800", 1, 2, "surrogates"), None, r"cannot be .* utf-8"),
    ],
)
def test_what_other_libraries_make_of_a_full_disk(error, cause, reason, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=rf"cannot write .*a\.bin: .*{reason}"),
        atomic_path(tmp_path / "a.bin"),
    ):
        raise_from(error, cause)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "other.jpg"),
        BrokenPipeError(32, "Broken pipe"),
        RuntimeError("a bug"),
        KeyError("os error"),
    ],
)
def test_what_is_not_about_the_file_passes(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "a.bin"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 256, "File name too long"),
        ("a\0b", "embedded null byte"),
        ("file/a.json", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("pipe", "it is not a regular file"),
        ("device", "it is not a regular file"),
    ],
)
def test_a_place_where_no_file_can_be_is_named(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to(os.devnull)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"cannot write .*: .*{reason}"):
        write_json(tmp_path / name, {})
    assert sorted(tmp_path.iterdir()) == before
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.parametrize("name", ["x" * 255, "x." + "y" * 253, "ü" * 127, ".hidden", "a.tar.gz"])
def test_names_of_any_length_that_a_file_may_have(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / name, "text")
    assert (tmp_path / name).read_text() == "text"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.json").symlink_to("there/real.json")
    for content in ("1", "2"):
        write_text(tmp_path / "link.json", content)
        assert (tmp_path / "link.json").is_symlink()
        assert (tmp_path / "there" / "real.json").read_text() == content
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["real.json"]


def test_permissions_are_the_default_or_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode
    write_text(tmp_path / "a.txt", "1")
    assert (tmp_path / "a.txt").stat().st_mode == usual
    (tmp_path / "a.txt").chmod(0o604)
    write_text(tmp_path / "a.txt", "2")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o604


def test_a_writer_that_makes_a_private_file_changes_no_rights(tmp_path: Path) -> None:
    """safetensors puts a file of its own, readable by its owner only, in place of the given one."""
    (tmp_path / "usual").touch()
    with atomic_path(tmp_path / "a.safetensors") as temporary:
        save_file({"a": torch.zeros(1)}, temporary)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_the_umask_of_the_process_is_never_set(tmp_path: Path, monkeypatch) -> None:
    """It belongs to all threads: one that makes a file meanwhile would make it for everyone."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("set"))
    write_text(tmp_path / "a.txt", "1")
    with atomic_folder(tmp_path / "folder", last="a"):
        pass


def test_a_missing_folder_is_made_or_not(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"a\.txt: No such file or directory"),
        atomic_path(tmp_path / "gone" / "a.txt", make_folder=False),
    ):
        pass
    assert not list(tmp_path.iterdir())


KILLED = """
import os, sys
from pathlib import Path
from gatlabel.files import atomic_folder, atomic_path
with atomic_path(Path(sys.argv[1]) / "a.txt") as file, atomic_path(Path(sys.argv[1]) / "b.txt"):
    with atomic_folder(Path(sys.argv[1]) / "folder", last="a"):
        file.write_text("half")
        os._exit(9)
"""


def test_what_a_kill_leaves_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == 9
    assert len(leftovers(tmp_path)) == 3
    (tmp_path / ".gatlabel-mine").symlink_to("nowhere")
    with (
        atomic_path(tmp_path / "c.txt") as alive,
        atomic_folder(tmp_path / "other", last="a") as also_alive,
    ):
        remove_leftovers(tmp_path)
        left = {alive.name, also_alive.parent.name, ".gatlabel-mine"}
        assert set(leftovers(tmp_path)) == left
    remove_leftovers(tmp_path / "no such folder")


def test_a_folder_among_other_files_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    for content in "12":
        with atomic_folder(tmp_path, last="last", replaces=["last"], others=True) as temporary:
            (temporary / "last").write_text(content)
        assert contents(tmp_path) == {"photo.jpg": "mine", "last": content}


def test_what_a_kill_had_moved_away_is_put_back(tmp_path: Path) -> None:
    place = tmp_path / ".gatlabel-01234567"
    for name in ("new/last.json", "new/a.txt", "old/last.json", "old/a.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    (tmp_path / "b.txt").write_text("mine")
    remove_leftovers(tmp_path)
    expected = {"last.json": "old/last.json", "a.txt": "old/a.txt", "b.txt": "mine"}
    assert contents(tmp_path) == expected


def test_json_of_names_that_are_not_utf8(tmp_path: Path) -> None:
    value = {"caf\udce9": ["\ud800", "größe", "\\udce9", "猫"]}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
