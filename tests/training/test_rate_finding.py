"""``--lr find``: a run finds its learning rate once, writes it, and is refused where it cannot."""

from pathlib import Path

import pytest
import torch

from gatlabel.engine.optimizers import make_optimizer
from gatlabel.errors import InputError
from gatlabel.experiments import make_config
from gatlabel.model import Model
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask
from gatlabel.training import TrainConfig, plain, rate_finding, resume, train
from gatlabel.training.config import read_options
from gatlabel.training.fitting import optimizer_of, spec_of
from gatlabel.training.recipes import config_from


def run_options(root: Path, folder: Path, **changes) -> TrainConfig:
    small = {
        "data": "csv",
        "data.root": root,
        "run.output": folder,
        "encoder.backbone": "shufflenet_v2_x0_5",
    }
    small |= {
        "encoder.weights": "none",
        "head": "linear",
        "images.size": 32,
        "run.batch_size": 4,
        "run.epochs": 1,
    }
    return plain().with_options({**small, "run.progress": False, "run.workers": 0, **changes})


def test_a_run_finds_its_rate_once_and_writes_it(tiny_csv: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(run_options(tiny_csv, tmp_path / "found", **{"optimizer.lr": "find"}), log=lines.append)
    (line,) = [line for line in lines if line.startswith("learning rate: ")]
    rate = read_options(tmp_path / "found" / "config.yaml")["optimizer"]["lr"]
    assert isinstance(rate, float)
    assert line.startswith(f"learning rate: {rate:g}, found by ")
    train(run_options(tiny_csv, tmp_path / "given", **{"optimizer.lr": rate}))
    first, second = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("found", "given")
    )
    assert first == second
    state = torch.load(tmp_path / "found" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["run"]["options"]["optimizer"]["lr"] == rate


def test_a_resumed_run_does_not_find_it_again(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run_options(tiny_csv, tmp_path / "run", **{"optimizer.lr": "find"}))
    (tmp_path / "run" / "report.html").unlink()  # as if killed at the end
    monkeypatch.setattr(rate_finding, "find_rate", None)
    resume(tmp_path / "run")


def test_the_word_is_read_and_others_are_refused() -> None:
    assert config_from({"optimizer": {"lr": "find"}}).optimizer.lr == "find"
    assert config_from({"optimizer": {"lr": "0.1"}}).optimizer.lr == 0.1
    with pytest.raises(InputError, match=r"^optimizer.lr='search': give a number, or find$"):
        TrainConfig().with_options({"optimizer.lr": "search"})
    with pytest.raises(InputError, match=r"^optimizer\.lr"):
        config_from({"optimizer": {"lr": "search"}})


def test_where_nothing_is_found_the_word_is_refused() -> None:
    with pytest.raises(InputError, match="lr=find: not for benchmarks"):
        make_config("heads", mode="end-to-end", **{"optimizer.lr": "find"})
    found = plain().with_options({"head": "linear", "optimizer.lr": "find"}).resolved()
    model = Model({}, [MultiLabelTask("things", ["a"], LinearHead(4, ["a"]))])
    with pytest.raises(InputError, match="lr=find: only supported by gatlabel train"):
        make_optimizer(model, optimizer_of(found), spec_of(found))
