"""Several processes train what one trains, and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import BatchSampler

from gatlabel.data.loading import SeededSampler, SharedBatches
from gatlabel.engine.module import TrainingModule
from gatlabel.engine.processes import Team
from gatlabel.engine.ranks import Ranks, SharedBatchNorm
from gatlabel.errors import InputError
from gatlabel.training import TrainConfig, plain, resume, train
from gatlabel.training.data import read_data
from gatlabel.training.run import RunResult

#: 16 training images and 8 validation images; the batches of 7 and 14 are uneven over 2 and 4.
QUICK = {
    "data": "csv",
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "encoder.freeze": "norms",
    "images.size": 32,
    "head": "conditioned",
    "missing.mask_labels": 0.4,
    "missing.unknown": "complete",
    "run.batch_size": 7,
    "run.epochs": 10,
    "run.progress": False,
    "run.workers": 0,
}


def options(root: Path, folder: Path, **changes) -> TrainConfig:
    return plain().with_options({**QUICK, "data.root": root, "run.output": folder, **changes})


def require_same(one: RunResult, several: RunResult) -> None:
    """Weights, curves, metrics and the state of the completion, to 1e-6."""
    states = one.model.state_dict(), several.model.state_dict()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=1e-6, rtol=0, msg=name)
    for row, other in zip(one.curves, several.curves, strict=True):
        assert other == pytest.approx(row, abs=1e-6)
    assert several.evaluations[-1].report.metrics == pytest.approx(
        one.evaluations[-1].report.metrics, abs=1e-6, nan_ok=True
    )
    completed = [
        torch.load(result.folder / "checkpoints" / "last.ckpt", weights_only=True)["objective"][
            "labels"
        ]
        for result in (one, several)
    ]
    for name, value in completed[0].items():
        torch.testing.assert_close(completed[1][name], value, atol=1e-6, rtol=0, equal_nan=True)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [8, 9, 10, 11, 12])
@pytest.mark.parametrize("drop_last", [False, True])
def test_processes_share_every_batch(size: int, count: int, drop_last: bool) -> None:
    whole = list(BatchSampler(SeededSampler(count, 3), 4, drop_last))
    batches = [
        SharedBatches(BatchSampler(SeededSampler(count, 3), 4, drop_last), rank, size)
        for rank in range(size)
    ]
    shares = [list(each) for each in batches]
    assert [len(each) for each in batches] == [len(share) for share in shares]
    assert sorted(i for share in shares for batch in share for i in batch) == sorted(
        i for batch in whole for i in batch
    )
    for number, batch in enumerate(whole):
        if len(batch) >= size:
            assert {i for share in shares for i in share[number]} == set(batch)


@pytest.fixture
def alone(tmp_path: Path):
    """The processes of a group of one, for the formulas."""
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield Ranks(0, 1, 0, 1)
    torch.distributed.destroy_process_group()


def test_shared_batch_norm_is_batch_norm(alone: Ranks) -> None:
    x, weights = torch.randn(5, 3, 4, 4, dtype=torch.float64), torch.randn(5, 3, 4, 4)
    found: list[list[Tensor]] = []
    for shared in (False, True):
        norm, given = torch.nn.BatchNorm2d(3), x.float().requires_grad_()
        if shared:
            with SharedBatchNorm():
                output = norm(given)
        else:
            output = norm(given)
        (output * weights).sum().backward()
        found.append([output, given.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5, check_dtype=False)


def test_exchange_within_one_process_changes_nothing(alone: Ranks) -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(alone.gather(rows), rows)
    assert torch.equal(alone.mean(rows), rows)
    assert alone.broadcast(b"some bytes") == b"some bytes"
    assert float(alone.weight(torch.tensor(5))) == 1
    assert float(alone.weight(torch.tensor(0))) == 0


@pytest.mark.parametrize(
    ("devices", "device", "batch", "message"),
    [
        (9, "cpu", 8, "devices=9: more than the 8 images"),
        (2, "mps", 8, "only on CUDA and CPUs"),
        (2, "cuda:1", 8, "CUDA devices"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(
    devices: int, device: str, batch: int, message: str
) -> None:
    with Team("gatlabel.training.following") as team, pytest.raises(InputError, match=message):
        team.enlist(devices, torch.device(device), batch)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_several_processes_train_what_one_trains(
    tiny_csv: Path, tmp_path: Path, devices: int
) -> None:
    one = train(options(tiny_csv, tmp_path / "one"))
    lines: list[str] = []
    changed = {"run.devices": devices}
    several = train(options(tiny_csv, tmp_path / "several", **changed), log=lines.append)
    assert f"training in {devices} processes on cpu" in lines
    require_same(one, several)


@pytest.mark.slow
def test_a_run_continues_with_another_number_of_devices(
    tiny_csv: Path, tmp_path: Path, monkeypatch
) -> None:
    one = train(options(tiny_csv, tmp_path / "one"))
    original, calls = TrainingModule.training_step, 0

    def training_step(self, batch, index):
        nonlocal calls
        calls += 1
        if calls == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", training_step)
        with pytest.raises(KeyboardInterrupt):
            train(options(tiny_csv, tmp_path / "cut"))
    require_same(one, resume(tmp_path / "cut", {"run.devices": 2}))


def command(root: Path, folder: Path, **more: object) -> list[str]:
    given = {**QUICK, "data.root": root, "run.output": folder, "recipe": "plain", **more}
    words = {name.replace("_", "-"): str(value).lower() for name, value in given.items()}
    words |= {"data.root": str(root), "run.output": str(folder)}
    words.pop("run.progress")
    flags = [word for name, value in words.items() for word in (f"--{name}", value)]
    return ["-m", "gatlabel", "train", "--no-progress", *flags]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    pytest.fail("waited in vain")


def children(process: subprocess.Popen[str]) -> list[int]:
    task = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in task.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("target", ["child", "interrupt"])
def test_processes_end_together(tiny_csv: Path, tmp_path: Path, target: str) -> None:
    run = tmp_path / "run"
    words = command(tiny_csv, run, **{"run.epochs": 5000, "run.devices": 2})
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for((run / "checkpoints" / "last.ckpt").is_file, process)
            (child,) = children(process)
            if target == "child":
                os.kill(child, signal.SIGKILL)
            else:
                process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert not Path(f"/proc/{child}").exists()
    last = errors.splitlines()[-1]
    if target == "child":
        assert process.returncode == 2, errors
        assert "process 1 of 2 (ranks from 0) ended by SIGKILL" in last
    else:
        assert process.returncode == 130, errors
        assert "interrupted with" in last
    assert "Traceback" not in errors


@pytest.mark.slow
def test_the_error_of_another_process_is_that_of_the_run(tiny_csv: Path, tmp_path: Path) -> None:
    """The second validation image belongs to process 1; it is removed during the run."""
    run = tmp_path / "run"
    more = {"run.epochs": 5000, "run.devices": 2, "images.cache": "none"}
    second = read_data(options(tiny_csv, run)).val.ids[1]
    words = command(tiny_csv, run, **more)
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for((run / "checkpoints" / "last.ckpt").is_file, process)
            (tiny_csv / second).unlink()
            errors = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 2, errors
    last = errors.splitlines()[-1]
    assert last.startswith("gatlabel: process 1 of 2 (ranks from 0): there is no image")
    assert "Traceback" not in errors


@pytest.mark.slow
def test_torchrun_starts_them_as_well(tiny_csv: Path, tmp_path: Path) -> None:
    one = train(options(tiny_csv, tmp_path / "one", **{"run.epochs": 2}))
    words = command(tiny_csv, tmp_path / "run", **{"run.epochs": 2})
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--master-port", "29577"]
    done = subprocess.run([*launch, *words], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training in 2 processes on cpu") == 1
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (one.folder, tmp_path / "run")
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=1e-6, rtol=0)
    assert (tmp_path / "run" / "report.html").is_file()
