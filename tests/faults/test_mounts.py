"""Runs on a disk that is really full, or read-only."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatlabel.errors import InputError
from gatlabel.training import RunFinishedError, resume, train
from gatlabel.training.run_folder import RunFolder
from tests.training.test_run_lifecycle import options


def mount(folder: Path, *words: str) -> None:
    done = subprocess.run(["mount", *words, str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk, with room for the beginning of a run and not for its checkpoint."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount(folder, "-t", "tmpfs", "-o", "size=600k", "tmpfs")
    except FileNotFoundError:
        pytest.skip("needs mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_run_on_a_full_disk_continues_when_there_is_space(disk: Path) -> None:
    with pytest.raises(InputError, match=f"^cannot write .*{disk / 'run'}.*: No space left on dev"):
        train(options(disk / "run"))
    assert not list(disk.rglob(".*"))
    mount(disk, "-o", "remount,size=64m")
    RunFolder(disk / "run").curves.unlink(missing_ok=True)
    resume(disk / "run")
    assert RunFolder(disk / "run").finished
    mount(disk, "-o", "remount,ro")
    with pytest.raises(RunFinishedError):
        resume(disk / "run")
    with pytest.raises(InputError, match=f"cannot write .*{disk / 'run'}.*: Read-only file system"):
        train(options(disk / "run", **{"run.overwrite": True}))
    message = f"cannot create .*{disk / 'other'}: Read-only file system"
    with pytest.raises(InputError, match=message):
        train(options(disk / "other"))
