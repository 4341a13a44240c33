"""Losses and gradients that are not finite: training stops with a message, or skips the batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gatlabel.engine.module import TrainingModule
from gatlabel.engine.nonfinite import DivergedError
from gatlabel.errors import InputError
from gatlabel.training import TrainConfig, plain, resume, train

QUICK = {
    "data": "csv",
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "head": "linear",
    "images.size": 32,
    "run.batch_size": 4,
    "run.epochs": 2,
    "images.augmentation": "none",
    "run.progress": False,
    "run.workers": 0,
}


def options(root: Path, folder: Path, **changes) -> TrainConfig:
    return plain().with_options({**QUICK, "data.root": root, "run.output": folder, **changes})


def poison(monkeypatch: pytest.MonkeyPatch, where: str, steps: set[int]) -> None:
    """Makes the loss, the gradient or the image features of some steps not finite."""
    original = TrainingModule.training_step

    def training_step(self, batch, index) -> Tensor:
        loss = original(self, batch, index)
        if self.global_step in steps:
            if where == "loss":
                self._loss = loss = loss * torch.nan
            elif where == "gradient":
                loss.register_hook(lambda gradient: gradient * torch.inf)
            else:  # a forward pass that ruins the running statistics of batch norm
                with torch.no_grad():
                    next(self.model.encoder.buffers()).fill_(torch.nan)
                self._loss = loss = loss * torch.inf
        return loss

    monkeypatch.setattr(TrainingModule, "training_step", training_step)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_training_stops_and_reports_where(
    where: str, clip: float, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, where, {5})
    with pytest.raises(DivergedError) as caught:
        train(options(tiny_csv, tmp_path / "run", **{"optimizer.clip_gradient": clip}))
    message = str(caught.value)
    assert "\n" not in message
    assert "epoch 2, step 6, learning rate 0.00" in message
    assert f"{'loss nan' if where == 'loss' else 'gradient norm'}" in message
    saved = np.load(tmp_path / "run" / "nonfinite-epoch2-step6.npz", allow_pickle=False)
    assert saved["images"].shape == (4, 3, 32, 32)
    assert saved["targets"].shape == (4, 3)
    assert saved["ids"][0] in message
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 0
    assert all(value.isfinite().all() for value in state["state_dict"].values())


@pytest.mark.parametrize("where", ["loss", "gradient", "buffer"])
def test_a_batch_may_be_skipped(
    where: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, where, {1, 2})
    lines: list[str] = []
    config = options(tiny_csv, tmp_path / "run", **{"run.on_nan": "skip"})
    result = train(config, log=lines.append)
    assert all(value.isfinite().all() for value in result.model.state_dict().values())
    assert all(np.isfinite(row["train_loss"]) for row in result.curves)
    assert [line for line in lines if "batch skipped in epoch 1, step 2" in line]
    assert "warning: 2 of 4 batches of epoch 1 were skipped" in lines


def test_a_skipped_batch_changes_no_weight(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "gradient", {0, 1, 2})
    seen: list[Tensor] = []
    started = TrainingModule.on_train_batch_start

    def on_train_batch_start(self, batch, index) -> None:
        seen.append(torch.cat([v.flatten().double() for v in self.model.state_dict().values()]))
        started(self, batch, index)

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", on_train_batch_start)
    train(
        options(
            tiny_csv,
            tmp_path / "run",
            **{"run.on_nan": "skip", "run.epochs": 1, "optimizer.ema": 0.0},
        )
    )
    assert all(torch.equal(seen[0], later) for later in seen[1:4])


def test_an_epoch_without_a_step_ends_training(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "loss", set(range(4)))
    with pytest.raises(DivergedError, match="every batch of epoch 1 was skipped"):
        train(options(tiny_csv, tmp_path / "run", **{"run.on_nan": "skip"}))


def test_a_diverged_run_continues_with_skipping(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "loss", {5})
    with pytest.raises(DivergedError):
        train(options(tiny_csv, tmp_path / "run"))
    result = resume(tmp_path / "run", {"run.on_nan": "skip"})
    assert len(result.curves) == 2


def test_a_rate_too_high_is_named(tiny_csv: Path, tmp_path: Path) -> None:
    config = options(
        tiny_csv,
        tmp_path / "run",
        **{
            "optimizer.lr": 1e9,
            "optimizer.name": "sgd",
            "optimizer.clip_gradient": 0.0,
            "run.epochs": 3,
        },
    )
    with pytest.raises(DivergedError, match=r"learning rate .*: loss .*--lr"):
        train(config)


def test_validation_logits_that_are_not_finite_are_reported(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TrainingModule.validation_step

    def validation_step(self, batch, index) -> None:
        original(self, batch, index)
        self.objective._outputs[-1]["labels"][0, 0] = torch.nan

    monkeypatch.setattr(TrainingModule, "validation_step", validation_step)
    with pytest.raises(InputError, match="after epoch 1 the logits of validation images"):
        train(options(tiny_csv, tmp_path / "run"))


def without_positives(root: Path) -> None:
    """Takes the labels of the validation images away."""
    lines = (root / "labels.csv").read_text().splitlines()
    kept = [line.rpartition(",")[0] + "," if ",val," in line else line for line in lines]
    (root / "labels.csv").write_text("\n".join(kept) + "\n")


def test_without_positives_to_validate_on_all_epochs_are_trained_and_the_last_kept(
    tiny_csv: Path, tmp_path: Path
) -> None:
    without_positives(tiny_csv)
    train(options(tiny_csv, tmp_path / "plain", **{"run.epochs": 4}))
    lines: list[str] = []
    config = options(
        tiny_csv, tmp_path / "run", **{"run.epochs": 4, "run.patience": 1, "run.keep": "best"}
    )
    result = train(config, log=lines.append)
    assert len(result.curves) == 4
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "run")]
    assert weights[0] == weights[1]
    note = next(line for line in lines if "validation mAP is not defined" in line)
    assert "patience=1 and keep=best" in note
