"""The life of a run folder: new, replaced, interrupted, resumed, finished; one run at a time."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatlabel import MultiLabelClassifier
from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.files import write_json
from gatlabel.training import RunFinishedError, TrainConfig, plain, resume, train
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_opening import new_run, unfinished_run
from gatlabel.training.run_swap import MOVING, NEW, READY, complete_swap, swap

NEVER = "cannot happen"


def options(output: Path, seed: int = 0, epochs: int = 1, **more) -> TrainConfig:
    return plain().with_options(
        {
            "run.epochs": epochs,
            "data.train_images": 16,
            "data.test_images": 8,
            "images.size": 32,
            "run.batch_size": 8,
            "encoder.backbone": "shufflenet_v2_x0_5",
            "encoder.weights": "none",
            "head": "linear",
            "run.compare": "no",
            "run.progress": False,
            "run.output": output,
            "run.seed": seed,
            **more,
        }
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(options(folder))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run, with exports of it and files of the user's in it."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    for bundle in ("onnx", "mine/exports"):
        (folder / bundle).mkdir(parents=True)
        write_json(folder / bundle / "bundle.json", {"format": "gatlabel-bundle-1"})
        (folder / bundle / "model.onnx").write_text("old model")
    (folder / "notes.txt").write_text("mine")
    (folder / "mine" / "bundle.json").write_text('{"format": "of another program"}')
    (folder / "checkpoints" / "epoch-7.ckpt").write_text("mine")
    return folder


MINE = {"notes.txt", "mine/bundle.json", "checkpoints/epoch-7.ckpt"}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def visible(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if not name.startswith(".")}


class StopError(Exception):
    pass


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Has something done when the last epoch is over, before that is noted."""
    written = RunFolder.write_curves

    def set_to(act: Callable[[], None]) -> None:
        def write(self: RunFolder, rows: list[dict[str, float]]) -> None:
            if len(rows) == self.read_config().run.epochs:
                act()
            written(self, rows)

        monkeypatch.setattr(RunFolder, "write_curves", write)

    yield set_to
    monkeypatch.setattr(RunFolder, "write_curves", written)


def stop() -> None:
    raise StopError


def test_overwriting_replaces_what_a_run_wrote_when_the_new_one_is_ready(run, during) -> None:
    before, said = contents(run), []
    seen: list[dict[str, bytes]] = []
    during(lambda: seen.append(contents(run)))
    result = train(options(run, **{"run.seed": 1, "run.overwrite": True}), log=said.append)
    assert len(seen) == 1
    assert visible(seen[0]) == before  # the old run answers meanwhile
    after = contents(run)
    assert after.keys() == before.keys() - {
        f"{bundle}/{file}"
        for bundle in ("onnx", "mine/exports")
        for file in ("bundle.json", "model.onnx")
    }
    assert {name for name in after if after[name] == before[name]} >= MINE
    for name in ("config.yaml", "model.safetensors", "metrics.json", "report.html"):
        assert after[name] != before[name]
    assert result.folder == run
    assert not (run / "onnx").exists()
    assert f"the export {run / 'onnx'} will be deleted with the old run" in said
    assert MultiLabelClassifier.from_pretrained(run).labels == result.model.labels


def test_an_interrupted_overwrite_leaves_the_old_run_and_is_resumed(run, during) -> None:
    before = contents(run)
    during(stop)
    with pytest.raises(StopError):
        train(options(run, **{"run.seed": 1, "run.epochs": 2, "run.overwrite": True}))
    assert visible(contents(run)) == before
    growing = {path.name for path in (run / NEW).iterdir()}
    assert {"config.yaml", "labels.json", "counts.json", "graph.json"} <= growing
    during(lambda: None)
    result = resume(run)
    assert result.folder == run
    assert len(result.curves) == 2
    assert RunFolder(run).read_config().run.seed == 1
    assert not list(run.glob(".*"))
    assert contents(run).keys() >= MINE
    assert RunFolder(run).finished


def test_a_second_overwrite_starts_again(run, during) -> None:
    during(stop)
    for seed in (1, 2):
        said: list[str] = []
        with pytest.raises(StopError):
            train(options(run, **{"run.seed": seed, "run.overwrite": True}), log=said.append)
        assert RunFolder.beside(run).read_config().run.seed == seed
    assert f"the unfinished run in {run / NEW} is deleted" in said


def test_an_overwrite_that_fails_before_it_begins_keeps_the_interrupted_one(run, during) -> None:
    during(stop)
    with pytest.raises(StopError):
        train(options(run, **{"run.seed": 1, "run.overwrite": True}))
    before = contents(run)
    with pytest.raises(InputError, match="no-such-file"):
        train(options(run, **{"graph": "no-such-file.json", "run.overwrite": True}))
    assert contents(run) == before


CONFIG = "\n".join(
    f"{name}: {value}"
    for name, value in {
        "data": "scenes",
        "head": "gat",
        "graph": "npmi",
    }.items()
)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"config.yaml": "name: my site\n", "labels.json": '["a"]'}, "is not the config of a run"),
        ({"config.yaml": "epochs: 3\n", "labels.json": '["a"]'}, "is not the config of a run"),
        ({"config.yaml": CONFIG}, "labels.json"),
        ({"config.yaml": CONFIG, "labels.json": '{"a": 1}'}, "contains no labels"),
        ({"config.yaml": CONFIG, "labels.json": '["a"]', "counts.json": "{}"}, "no graph.json"),
        ({"photo.jpg": "x"}, "config.yaml"),
        ({"report.html/photo.jpg": "x"}, "its report.html is a folder"),
    ],
)
def test_only_run_folders_are_overwritten(files, reason, finished, tmp_path) -> None:
    folder = tmp_path / "folder"
    if "report.html/photo.jpg" in files:
        shutil.copytree(finished, folder)
        (folder / "report.html").unlink()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    before = contents(folder)
    with pytest.raises(
        InputError, match=f"is not a run folder: --overwrite does not replace it.*{reason}"
    ):
        train(options(folder, **{"run.overwrite": True}))
    assert contents(folder) == before


class KilledError(BaseException):
    """Nothing that comes after it is done, not even what a ``finally`` would."""


def kill_at(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Lets the process die at a change of the file system, counted from 0."""
    done: list[str] = []

    def patch(name: str) -> None:
        original = getattr(os, name)

        def change(*arguments, **keywords):
            if len(done) >= at:
                raise KilledError
            done.append(name)
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, name, change)

    for name in ("rename", "replace", "unlink", "rmdir", "mkdir"):
        patch(name)
    return done


def test_a_kill_at_any_step_of_the_swap_loses_neither_run(
    run: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder holds the old or the new run, or the error names --resume; finally the new run."""
    train(options(tmp_path / "new", **{"run.seed": 1}))
    for path in (*run.rglob("*.ckpt"), *tmp_path.rglob("*.ckpt")):
        path.write_text(str(path))  # smaller: they are copied often
    new, old = contents(tmp_path / "new"), contents(run)
    shutil.move(tmp_path / "new", run / NEW)
    shutil.copytree(run, tmp_path / "start")
    states = set()
    for at in range(100):
        shutil.rmtree(run)
        shutil.copytree(tmp_path / "start", run)
        with monkeypatch.context() as patch:
            done = kill_at(patch, at)
            try:
                swap(run)
            except KilledError:
                pass
            else:
                break
        pair = {name: contents(run).get(name) for name in ("model.json", "model.safetensors")}
        if pair["model.json"] is None:
            states.add("neither")
            with pytest.raises(InputError, match=f"continue with gatlabel train --resume {run}"):
                MultiLabelClassifier.from_pretrained(run)
        else:
            answers = old if pair["model.safetensors"] == old["model.safetensors"] else new
            states.add("old" if answers is old else "new")
            assert pair == {name: answers[name] for name in pair}
        if (run / NEW).exists():
            swap(run)
        else:
            with pytest.raises(RunFinishedError), unfinished_run(run, lambda line: None):
                pass
        assert contents(run) == {**new, **{name: old[name] for name in MINE}}
        assert not list(run.glob(".*"))
    assert len(done) == at > 15
    assert states == {"old", "neither", "new"}


@pytest.mark.parametrize("state", [READY, MOVING])
def test_overwriting_completes_an_interrupted_swap_first(state: str, run, tmp_path) -> None:
    train(options(tmp_path / "new", **{"run.seed": 1}))
    shutil.move(tmp_path / "new", run / state)
    if state == MOVING:
        (run / "model.json").unlink()
    said: list[str] = []
    with new_run(
        options(run, **{"run.seed": 2, "run.overwrite": True}).run, "x", said.append
    ) as folder:
        assert RunFolder(run).read_config().run.seed == 1
        assert folder.path == run / NEW
    assert any("has now replaced the previous one" in line for line in said)
    assert not complete_swap(run)


def test_a_finished_run_is_not_touched_by_resume(run: Path, capsys) -> None:
    def state() -> dict[str, tuple[int, int]]:
        paths = [run, *run.rglob("*")]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}

    before, files = state(), contents(run)
    with pytest.raises(RunFinishedError, match=r"is finished \(1 epochs\): nothing to resume"):
        resume(run)
    assert main(["train", "--resume", str(run)]) == 0
    assert capsys.readouterr().out == f"the run {run} is finished (1 epochs): nothing to resume\n"
    assert state() == before
    assert contents(run) == files


@pytest.mark.parametrize("lost", ["report.html", "metrics.json", "model.json"])
def test_a_run_that_died_after_training_is_completed(lost: str, tmp_path: Path, during) -> None:
    """Without training: the curves and the weights are those that were there."""
    run = tmp_path / "run"
    train(options(run))
    before = contents(run)
    (run / lost).unlink()
    during(stop)  # would be called if an epoch were trained
    resume(run)
    after = contents(run)
    assert RunFolder(run).finished
    for name in ("metrics.csv", "model.safetensors", "model.json", "config.yaml"):
        assert after[name] == before[name]
    figures = [json.loads(found["metrics.json"])["splits"] for found in (before, after)]
    assert figures[0] == figures[1]


def test_a_run_killed_before_its_first_checkpoint_starts_again(run: Path, finished) -> None:
    shutil.rmtree(run / "checkpoints")
    for name in ("report.html", "model.json", "metrics.csv"):
        (run / name).unlink()
    said: list[str] = []
    resume(run, log=said.append)
    assert f"{run} has no checkpoint yet: the run starts again" in said
    assert contents(run)["model.safetensors"] == contents(finished)["model.safetensors"]
    for path in ("report.html", "checkpoints/last.ckpt", "checkpoints/previous.ckpt"):
        (run / path).unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"no checkpoints/last\.ckpt"):
        resume(run)  # one that has trained is not silently trained again


@pytest.mark.parametrize("again", ["new", "overwrite", "resume"])
def test_a_second_run_into_the_folder_is_refused(again: str, tmp_path, during, capsys) -> None:
    run = tmp_path / "run"
    seen: list[str] = []

    def second() -> None:
        words = ["train", "--output", str(run)]
        words += ["--overwrite", "true"] if again == "overwrite" else []
        assert main(["train", "--resume", str(run)] if again == "resume" else words) == 2
        seen.append(capsys.readouterr().err)

    during(second)
    train(options(run))
    busy = f"gatlabel: {run} is in use by another run (process {os.getpid()}): wait for it, or"
    expected = f"gatlabel: the run folder {run} is not empty" if again == "new" else busy
    assert seen[0].startswith(expected)
    assert len(seen[0].splitlines()) == 1
    assert RunFolder(run).finished


HOLD = """
import os, sys, time
from pathlib import Path
from gatlabel.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(60)
"""


def test_another_process_holds_the_folder_until_it_is_killed(run: Path) -> None:
    """Its worker processes, which live on for a while, hold nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        worker = int(process.stdout.readline())
        config = options(run, **{"run.overwrite": True})
        with (
            pytest.raises(InputError, match=rf"in use by another run \(process {process.pid}\)"),
            new_run(config.run, "x", lambda line: None),
        ):
            pytest.fail(NEVER)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert list(run.glob(".lock"))
        with new_run(config.run, "x", lambda line: None):  # what the kill left does no harm
            pass
        os.kill(worker, signal.SIGKILL)
    assert not list(run.glob(".*"))


def test_one_of_several_processes_writes_nothing(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    (run / "report.html").unlink()
    before = contents(run)
    for begin in (lambda: train(options(tmp_path / "new")), lambda: resume(run)):
        with pytest.raises(InputError, match="OMPI_COMM_WORLD_SIZE=2"):
            begin()
    assert contents(run) == before
    assert not (tmp_path / "new").exists()


def test_deleting_the_folder_meanwhile_ends_the_run_in_one_line(tmp_path: Path, during) -> None:
    run = tmp_path / "run"
    during(lambda: shutil.rmtree(run))
    with pytest.raises(InputError, match=f"{run}.* (was removed|No such file)"):
        train(options(run))
    assert not run.exists()  # nothing comes back, the folder of checkpoints neither


def test_the_run_that_replaces_keeps_its_options_of_output(run: Path) -> None:
    config = options(run, **{"run.seed": 3}).with_options({"run.overwrite": True})
    train(config)
    assert RunFolder(run).read_config().run.output == run
