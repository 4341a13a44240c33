"""What a run says when a signal ends it, by how far it has come."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from gatlabel.errors import Interrupted
from gatlabel.training import TrainConfig, plain
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_opening import new_run, unfinished_run
from gatlabel.training.stopping import guarded, stoppable


def config_of(folder: Path, epochs: int = 3) -> TrainConfig:
    options = {"run.output": folder, "run.epochs": epochs, "run.overwrite": True}
    return plain().with_options(options)


def end(folder: RunFolder, begins: TrainConfig | None, number: int) -> None:
    if begins is not None:
        folder.begin(begins)
    os.kill(os.getpid(), number)


def stopped(config: TrainConfig, number: int, *, begins: bool) -> str:
    """Opens the folder of a new run, is told to end, and returns the message."""
    with (
        pytest.raises(Interrupted) as caught,
        stoppable() as signals,
        new_run(config.run, "x", lambda line: None) as folder,
        guarded(folder, signals),
    ):
        end(folder, config if begins else None, number)
    assert caught.value.exit_code == 128 + number
    return str(caught.value)


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
@pytest.mark.parametrize(("epochs", "what"), [(3, "first epoch"), (0, "run")])
def test_a_run_that_has_begun_is_resumed(
    number: int, word: str, epochs: int, what: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    line = f"before the {what} was finished; continue with: gatlabel train --resume {folder}"
    assert stopped(config_of(folder, epochs), number, begins=True) == f"{word} {line}"
    with (
        pytest.raises(Interrupted, match=f"before the {what} was finished"),
        stoppable() as signals,
        unfinished_run(folder, lambda line: None) as run,
        guarded(run, signals),
    ):
        os.kill(os.getpid(), number)


def test_before_a_run_has_begun_nothing_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    said = stopped(config_of(folder), signal.SIGINT, begins=False)
    assert said == "interrupted before training started: nothing was written"
    assert not folder.exists()


def test_an_unfinished_run_that_is_still_to_be_replaced_is_not_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped(config_of(folder), signal.SIGINT, begins=True)
    shutil.move(folder, tmp_path / "other")
    folder.mkdir()
    shutil.move(tmp_path / "other", RunFolder.beside(folder).path)
    assert RunFolder.beside(folder).has_begun
    said = stopped(config_of(folder), signal.SIGINT, begins=False)
    assert said.endswith("nothing was written")
