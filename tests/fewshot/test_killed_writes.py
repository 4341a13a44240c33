"""Kills while results of fewshot, extend, suggest and pretrain are moved into place.

Every command runs in a fork of this process that ends without any cleaning up, as by SIGKILL, at
one call of a function that moves or writes.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gatlabel.cli import main
from gatlabel.disk_faults import PREFIX
from gatlabel.training.finished_runs import open_run
from tests.cli.test_cli import error_of, train
from tests.colours import write_colours

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
KILLED = 137
#: Renames of a new run: two files of the model into the folder, then the folder into place.
MOVE = 2


def killed(words: list[str], owner: Any, name: str, call: int, *, after: bool) -> None:
    """Runs a command in a process that dies before or after a call of a function."""
    child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
        return
    function, calls = getattr(owner, name), iter(range(10**6))

    def dying(*given: Any, **options: Any) -> Any:
        last = next(calls) == call
        if last and not after:
            os._exit(KILLED)
        found = function(*given, **options)
        if last:
            os._exit(KILLED)
        return found

    setattr(owner, name, dying)
    try:
        main(words)
    finally:
        os._exit(99)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    assert train(write_colours(folder / "data"), folder / "run") == 0
    return folder / "run"


def words_of(command: str, run: Path, folder: Path) -> list[str]:
    """The words of a command whose new run is ``folder/new``."""
    new = str(folder / "new")
    if command == "extend":
        return ["extend", str(run), "--label", "purple", "--like", "red:2,blue", "--output", new]
    answers = folder / "answers.csv"
    answers.write_text("image,label,answer\nimages/0.png,red,yes\nimages/1.png,red,no\n")
    pool = str(run.parent / "data")
    return ["suggest", str(run), pool, "--answers", str(answers), "--update", new]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(one: Path, other: Path) -> None:
    """Two new runs, which differ in their own place only."""
    names = set(contents(one)) - {"config.yaml"}
    assert names == set(contents(other)) - {"config.yaml"}
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


@pytest.mark.parametrize("command", ["extend", "suggest"])
def test_a_new_run_is_there_whole_or_not_at_all(
    command: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("whole", "cut"):
        (tmp_path / place).mkdir()
    assert main(words_of(command, run, tmp_path / "whole")) == 0
    words, new = words_of(command, run, tmp_path / "cut"), tmp_path / "cut" / "new"
    for call in range(MOVE + 1):
        killed(words, Path, "rename", call, after=False)
        assert not new.exists()
        assert len([p for p in new.parent.iterdir() if p.name.startswith(PREFIX)]) == 1
    killed(words, Path, "rename", MOVE, after=True)
    same(tmp_path / "whole" / "new", new)
    before = contents(new)
    assert main(words) == 2  # it is there
    assert "new" in error_of(capsys)
    assert contents(new) == before
    assert main([*words[:-1], str(new.with_name("newer"))]) == 0  # removes what kills have left
    assert [p.name for p in new.parent.iterdir() if p.name.startswith(PREFIX)] == []


def test_a_folder_that_was_there_is_no_run_until_it_is_whole(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files are moved into a folder that exists one by one, the model's description last."""
    words, new = words_of("extend", run, tmp_path), tmp_path / "new"
    new.mkdir()
    killed(words, Path, "rename", MOVE + 2, after=True)
    assert not (new / "model.json").exists()
    assert main(["evaluate", str(new)]) == 2
    assert str(new) in error_of(capsys)
    assert main(words) == 2
    assert "move it, or give another folder" in error_of(capsys)
    assert main([*words[:-1], str(tmp_path / "other")]) == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["write_json", "write_text"])
def test_episodes_that_are_done_stay_done(
    name: str, after: bool, run: Path, tmp_path: Path
) -> None:
    from gatlabel.fewshot import of_runs

    words = ["fewshot", str(run), "--shots", "1", "--episodes", "2", "--similarity", "none"]
    words += ["--novel", "red", "--output"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    cut = tmp_path / "cut"
    killed([*words, str(cut)], of_runs, name, 0, after=after)
    for path in cut.glob("*.json"):
        json.loads(path.read_text())
    episodes = (cut / "episodes.jsonl").read_bytes()
    assert main([*words, str(cut)]) == 0
    assert contents(cut) == contents(tmp_path / "whole")
    assert (cut / "episodes.jsonl").read_bytes() == episodes


@pytest.mark.parametrize(
    ("name", "call", "after"),
    [
        ("_write_config", 0, False),
        ("write_state", 0, False),
        ("write_json", 1, False),
        ("write_json", 1, True),
    ],
)
def test_a_pretraining_is_resumed_or_finished(
    name: str, call: int, after: bool, tiny_csv: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from gatlabel.pretraining import run as module

    words = ["pretrain", str(tiny_csv / "images"), "--backbone", "shufflenet_v2_x0_5"]
    words += ["--epochs", "1", "--batch-size", "8", "--image-size", "32", "--no-progress"]
    words += ["--workers", "0", "--output"]
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    assert main([*words, str(whole)]) == 0
    killed([*words, str(cut)], module, name, call, after=after)
    capsys.readouterr()
    if name == "_write_config" and not after:  # nothing to resume: the command starts again
        assert main([*words, str(cut)]) == 0
    elif (name, call, after) == ("write_json", 1, True):
        assert main(["pretrain", "--resume", str(cut)]) == 2
        assert "is finished" in error_of(capsys)
    else:
        trained = ["train", "--data", "csv", "--root", str(tiny_csv), "--weights", str(cut)]
        if name != "write_json" or not call:
            assert main([*trained, "--output", str(tmp_path / "no")]) == 2  # no encoder yet
            assert str(cut) in error_of(capsys)
        assert main(["pretrain", "--resume", str(cut)]) == 0
    for file in ("encoder.safetensors", "encoder.json", "metrics.json"):
        assert (cut / file).read_bytes() == (whole / file).read_bytes()


def test_the_run_that_is_extended_is_never_written_to(run: Path, tmp_path: Path) -> None:
    before = {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    killed(words_of("extend", run, tmp_path), Path, "rename", MOVE, after=False)
    assert {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    open_run(run)
