"""An interrupted and resumed run equals an uninterrupted one, bit for bit, in all state."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from gatlabel.engine.module import TrainingModule
from gatlabel.errors import InputError, Interrupted
from gatlabel.tasks import MultiLabelTask
from gatlabel.training import TrainConfig, plain, resume, train
from gatlabel.training.changes import compare_records
from gatlabel.training.clock import Clock

QUICK = {
    "data": "csv",
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "images.size": 32,
    "head.hidden": 8,
    "head.heads": 2,
    "run.batch_size": 4,
    "run.epochs": 3,
    "run.progress": False,
    "run.workers": 0,
}
# 16 training images in batches of 4: a signal in step 6 ends the second epoch in its midst
SETTINGS = {
    "default": {},
    "dropout": {"head.dropout": 0.5},
    "stochastic depth": {"encoder.backbone": "efficientnet_b0", "head": "linear"},
    "no averaging, sgd": {"optimizer.ema": 0.0, "optimizer.name": "sgd"},
    "completion": {"missing.mask_labels": 0.5, "missing.unknown": "complete"},
    "early stopping": {"run.patience": 1, "run.epochs": 6, "optimizer.lr": 1e-6},
    "bf16": {"run.amp": "on"},
    "step schedule": {"optimizer.schedule": "step", "optimizer.schedule.epochs": 1},
    "query": {"head": "query", "images.augmentation": "strong"},
    "refit": {"run.refit": True},
    "best epoch": {"run.keep": "best", "optimizer.lr": 0.1},
}


def options(root: Path, folder: Path, **changes) -> TrainConfig:
    given = {**QUICK, "data.root": root, "run.output": folder, **changes}
    for name in ("head.hidden", "head.heads"):
        if given.get("head") == "linear":
            given.pop(name)
    return plain().with_options(given)


def cut(config: TrainConfig, step: int, number: int = signal.SIGTERM) -> Interrupted:
    """Trains until the process is sent a signal in the given step, and returns the exception."""
    original, calls = TrainingModule.training_step, 0

    def training_step(self, batch, index):
        nonlocal calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), number)
        return original(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", training_step)
        with pytest.raises(Interrupted) as caught:
            train(config)
    return caught.value


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("model.safetensors", "metrics.csv")]


def epoch_of(folder: Path) -> int:
    path = folder / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["epoch"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_run_equals_an_uninterrupted_one(
    name: str, tiny_csv: Path, tmp_path: Path
) -> None:
    changes = SETTINGS[name]
    train(options(tiny_csv, tmp_path / "whole", **changes))
    cut(options(tiny_csv, tmp_path / "part", **changes), step=6)
    assert epoch_of(tmp_path / "part") == 0
    resume(tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_cut_in_its_first_epoch_starts_from_the_state_before_it(
    step: int, tiny_csv: Path, tmp_path: Path
) -> None:
    train(options(tiny_csv, tmp_path / "whole"))
    cut(options(tiny_csv, tmp_path / "part"), step=step)
    assert epoch_of(tmp_path / "part") == -1
    resume(tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_the_number_of_workers_may_change(tiny_csv: Path, tmp_path: Path) -> None:
    changes = {"head.dropout": 0.5, "images.augmentation": "strong"}
    train(options(tiny_csv, tmp_path / "whole", **changes))
    cut(options(tiny_csv, tmp_path / "part", **changes, **{"run.workers": 2}), step=6)
    lines: list[str] = []
    resume(tmp_path / "part", {"run.workers": 1}, log=lines.append)
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
    assert not any("changed" in line for line in lines)


@pytest.mark.parametrize(
    ("number", "word", "code"),
    [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interr", 130)],
)
def test_a_signal_ends_with_a_line_that_says_how_to_go_on(
    number: int, word: str, code: int, tiny_csv: Path, tmp_path: Path
) -> None:
    handlers = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]
    folder = tmp_path / "a run"
    stopped = cut(options(tiny_csv, folder), step=6, number=number)
    assert stopped.exit_code == code
    message = str(stopped)
    assert message.startswith(word)
    assert "1 of 3 epochs" in message
    assert f"gatlabel train --resume '{folder}'" in message
    assert [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_falling_validation_map_does_not_keep_the_last_epoch_from_being_saved(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.9, 0.5, 0.1])
    monkeypatch.setattr(MultiLabelTask, "score", lambda *given: next(values))
    train(options(tiny_csv, tmp_path / "run"))
    assert epoch_of(tmp_path / "run") == 2
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == 0
    previous = torch.load(tmp_path / "run" / "checkpoints" / "previous.ckpt", weights_only=True)
    assert previous["epoch"] == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    damage: str, tiny_csv: Path, tmp_path: Path
) -> None:
    train(options(tiny_csv, tmp_path / "whole"))
    folder = tmp_path / "part"
    cut(options(tiny_csv, folder), step=10)
    last = folder / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    if damage == "empty":
        last.write_bytes(b"")
    elif damage == "cut":
        last.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        last.write_bytes(content)
    elif damage == "other":
        torch.save({"weights": torch.zeros(2)}, last)
    else:
        last.unlink()
    lines: list[str] = []
    resume(folder, log=lines.append)
    assert any("last.ckpt" in line for line in lines) == (damage != "gone")
    assert any("resuming from" in line and "previous.ckpt" in line for line in lines)
    assert contents(folder) == contents(tmp_path / "whole")


def test_if_all_checkpoints_are_damaged_it_is_reported_and_nothing_changes(
    tiny_csv: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "part"
    cut(options(tiny_csv, folder), step=6)
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(b"noise")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"no checkpoint in .* can be read"):
        resume(folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_plan_cannot_be_changed(tiny_csv: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    cut(options(tiny_csv, folder), step=6)
    with pytest.raises(InputError, match=r"accepts only --images.*not --run.epochs"):
        resume(folder, {"run.epochs": 9})
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 9"))
    with pytest.raises(InputError, match=r"epochs=9 \(was 3\).*--init"):
        resume(folder)


def test_paths_may_be_relative_in_a_checkpoint_of_an_earlier_version(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.csv").write_text("name,weight\n")
    given = plain().with_options({"loss.pos_weight": "weights.csv", "images.cache_folder": "c"})
    common = {"data": {}, "environment": {}}
    then, now = ({"options": each.to_dict(), **common} for each in (given, given.resolved()))
    then["options"] = {**now["options"], "loss": then["options"]["loss"]}
    assert compare_records(then, now) == []


def test_other_data_is_refused_and_other_files_are_noted(tiny_csv: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    cut(options(tiny_csv, folder), step=6)
    image = tiny_csv / "images" / "3.png"
    os.utime(image, (1, 1))
    labels = (tiny_csv / "labels.csv").read_text()
    (tiny_csv / "labels.csv").write_text(labels.replace("images/3.png,train,", "images/3.png,val,"))
    with pytest.raises(InputError, match="split train have changed"):
        resume(folder)
    (tiny_csv / "labels.csv").write_text(labels)
    lines: list[str] = []
    resume(folder, log=lines.append)
    assert any("image files of the split train have changed" in line for line in lines)


def test_another_number_of_threads_is_noted(tiny_csv: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    cut(options(tiny_csv, folder), step=6)
    lines: list[str] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        resume(folder, log=lines.append)
    finally:
        torch.set_num_threads(threads)
    assert any(f"threads {threads} -> {threads + 1}" in line for line in lines)


def test_a_run_that_stopped_early_is_not_trained_further(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatlabel.training import run

    config = options(
        tiny_csv, tmp_path / "run", **{"run.patience": 1, "run.epochs": 9, "optimizer.lr": 1e-7}
    )

    def fail(*arguments) -> None:
        raise RuntimeError("killed in evaluation")

    with monkeypatch.context() as patch:
        patch.setattr(run, "evaluate", fail)
        with pytest.raises(RuntimeError, match="killed"):
            train(config)
    epoch = epoch_of(tmp_path / "run")
    assert epoch < 8
    result = resume(tmp_path / "run")
    assert epoch_of(tmp_path / "run") == epoch
    assert len(result.curves) == epoch + 1


def test_a_signal_while_a_checkpoint_is_written_is_not_a_write_error(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.save calls back into Python, and makes another exception of the signal's."""
    saved, calls = torch.save, 0

    class Interrupting:
        def __init__(self, file) -> None:
            self.file = file

        def write(self, content) -> int:
            os.kill(os.getpid(), signal.SIGTERM)
            return self.file.write(content)

        def flush(self) -> None:
            self.file.flush()

    def save(state, file) -> None:
        nonlocal calls
        calls += 1
        saved(state, Interrupting(file) if calls == 3 else file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(Interrupted, match="terminated with 1 of 3 epochs"):
            train(options(tiny_csv, tmp_path / "part"))
    resume(tmp_path / "part")
    train(options(tiny_csv, tmp_path / "whole"))
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


@pytest.mark.parametrize("step", [6, None])
def test_the_duration_of_a_resumed_run_includes_that_until_the_checkpoint(
    step: int | None, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was interrupted in an epoch or after the last one."""
    config = options(tiny_csv, tmp_path / "run", **{"run.epochs": 2, "head": "linear"})
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "spent", property(lambda self: 1000.0))
        if step is None:
            train(config)
            (tmp_path / "run" / "report.html").unlink()
        else:
            cut(config, step)
    result = resume(tmp_path / "run")
    assert 1000 < result.seconds < 2000
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["training_seconds"] == round(result.seconds, 1)
