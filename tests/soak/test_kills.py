"""Runs killed at random moments end as undisturbed ones do, bit for bit.

Every process is a fork of this one, which has imported everything: a kill then falls into the run
and not into the five seconds of imports. Run it alone, without xdist: make soak.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.engine.checkpoints import read_checkpoint

pytestmark = [pytest.mark.soak, pytest.mark.slow]

COMMON = (
    "--data csv --backbone shufflenet_v2_x0_5 --weights none --image-size 32 --batch-size 4 "
    "--epochs 4 --workers 0 --no-progress --run.compare no"
)
GAT = "--head.hidden 8 --head.heads 2"
CONFIGURATIONS = {
    "dropout": f"{GAT} --head.dropout 0.5 --images.augmentation strong",
    "stochastic depth": "--head linear --backbone efficientnet_b0",
    "workers": f"{GAT} --head.dropout 0.3",  # 0, then 2, then 0 again
    "averaging": f"{GAT} --optimizer.ema 0.9",
    "completion": f"{GAT} --missing.mask-labels 0.5 --missing.unknown complete",
    "early stopping": f"{GAT} --run.patience 2 --epochs 6 --keep best",
    "bf16": f"{GAT} --run.amp on",
    "step schedule": f"{GAT} --optimizer.schedule step --optimizer.schedule.epochs 1 --lr 0.01 "
    "--optimizer sgd",
    "query": "--head query --head.hidden 8 --head.heads 2",
}
KILLS = int(os.environ.get("GATLABEL_KILLS", "6"))  # of each configuration


def launched(words: list[str], log: Path) -> int:
    """Forks a process that runs the command; its output goes to a file."""
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        code = main(words)
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        code = 99
    finally:
        os._exit(code)


def finished(child: int, limit: float, number: int | None) -> int:
    """Waits, or sends a signal when time is up; returns the exit code, or minus the signal."""
    end = time.monotonic() + limit
    while number is None or time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(folder: Path) -> list[object]:
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["training_seconds"]
    return [(folder / n).read_bytes() for n in ("model.safetensors", "metrics.csv")] + [metrics]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_killed_and_resumed_runs_equal_uninterrupted_ones(
    name: str, tiny_csv: Path, tmp_path: Path
) -> None:
    words = ["train", "--root", str(tiny_csv), *COMMON.split(), *CONFIGURATIONS[name].split()]
    log = tmp_path / "log"
    began = time.monotonic()
    whole = launched([*words, "--output", str(tmp_path / "whole")], log)
    assert finished(whole, 0, None) == 0, log.read_text()
    duration = time.monotonic() - began
    chance = random.Random(name)
    folder = tmp_path / "part"
    command = [*words, "--output", str(folder)]
    kills = 0
    while kills < KILLS:
        number = chance.choice([signal.SIGKILL, signal.SIGTERM])
        given = list(command)
        if name == "workers" and kills % 2:
            given += ["--workers", "2"]
        code = finished(launched(given, log), chance.uniform(0.05, 0.8) * duration, number)
        text = log.read_text()
        print(f"{name}, kill {kills}: {signal.Signals(number).name}, code {code}, {last(text)}")
        if code == 0:  # it was faster than the signal: finished, so the next starts anew
            assert outcome(folder) == outcome(tmp_path / "whole")
            command, folder = anew(words, folder)
            duration *= 0.9  # it was measured on a busier machine
            continue
        kills += 1
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 143), text
        assert "Traceback" not in text
        if number == signal.SIGTERM:
            assert "terminated" in last(text)
        for checkpoint in ("last.ckpt", "previous.ckpt", "best.ckpt"):
            if (path := folder / "checkpoints" / checkpoint).is_file():
                read_checkpoint(path)  # none is damaged, whatever the moment
        if (folder / "checkpoints" / "last.ckpt").is_file():
            command = ["train", "--resume", str(folder)]
        else:
            command, folder = anew(words, folder)
    code = finished(launched(command, log), 0, None)
    assert code == 0, log.read_text()
    assert outcome(folder) == outcome(tmp_path / "whole")
    left = [path for path in folder.rglob("*") if path.name.startswith(".gatlabel-")]
    assert not left


def last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def anew(words: list[str], folder: Path) -> tuple[list[str], Path]:
    """The command that starts again in a new folder."""
    folder = folder.with_name(folder.name + "+")
    return [*words, "--output", str(folder)], folder
