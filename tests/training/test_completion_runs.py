"""Completion in a training run: options, notes, logits by image, resuming."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.missing import UNKNOWN, Complete, Completion, make_completion
from gatlabel.training import RunResult, TrainConfig, plain, resume, train
from gatlabel.training.building import build_model
from gatlabel.training.data import loaders, read_data
from gatlabel.training.fitting import fit

QUICK = {
    "data": "csv",
    "encoder.backbone": "mobilenet_v3_small",
    "encoder.weights": "none",
    "images.size": 32,
    "head.hidden": 8,
    "run.batch_size": 4,
    "images.augmentation": "none",
    "run.progress": False,
    "run.workers": 0,
}


def options(root: Path, **changes) -> TrainConfig:
    return plain().with_options({**QUICK, "data.root": root, **changes})


class Witness(Complete):
    """Records the calls of update."""

    def __init__(self, targets: Tensor) -> None:
        super().__init__(targets, None)
        self.told: list[tuple[Tensor, float]] = []

    def update(self, logits: Tensor, progress: float) -> None:
        super().update(logits, progress)
        self.told.append((logits.clone(), progress))


class Drift(Completion):
    """Fills in the progress, so that state that is not restored is detected."""

    def update(self, logits: Tensor, progress: float) -> None:
        self.targets = torch.where(self.known, self.targets, progress)


def test_hiding_touches_training_only_and_is_noted(tiny_csv: Path) -> None:
    plain = read_data(options(tiny_csv))
    half = read_data(options(tiny_csv, **{"missing.mask_labels": 0.5}))
    single = read_data(options(tiny_csv, **{"missing.mask_labels": "single"}))
    assert (np.asarray(half.train.targets) == -1).mean() == pytest.approx(0.5)
    assert (np.asarray(single.train.targets) == 1).sum(axis=1).tolist() == [1] * len(single.train)
    for corrupted in (half, single):
        assert np.array_equal(corrupted.val.targets, plain.val.targets)
        assert len(corrupted.notes) == len(plain.notes) + 1
    assert "50% of the known training labels were masked (seed 0)" in half.notes[-1]
    assert np.array_equal(
        half.train.targets,
        read_data(options(tiny_csv, **{"missing.mask_labels": 0.5})).train.targets,
    )
    other = read_data(options(tiny_csv, **{"missing.mask_labels": 0.5, "run.seed": 1}))
    assert not np.array_equal(half.train.targets, other.train.targets)


@pytest.mark.parametrize("share", [-0.5, 1.0, 3])
def test_a_wrong_share_is_refused(tiny_csv: Path, share: float) -> None:
    with pytest.raises(InputError, match="or single"):
        options(tiny_csv, **{"missing.mask_labels": share})


@pytest.mark.parametrize("hidden", ["single", "0.25"])
def test_the_command_line_hides_and_completes(
    tiny_csv: Path, tmp_path: Path, hidden: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from gatlabel.cli import main

    words = ["train", "--data", "csv", "--root", str(tiny_csv), "--output", str(tmp_path / "run")]
    words += ["--backbone", "mobilenet_v3_small", "--weights", "none", "--image-size", "32"]
    words += [
        "--epochs",
        "1",
        "--head.hidden",
        "8",
        "--no-progress",
        "--missing.unknown",
        "complete",
    ]
    assert main([*words, "--missing.mask-labels", hidden]) == 0
    counts = json.loads((tmp_path / "run" / "counts.json").read_text())
    present = {"single": 16}.get(hidden)
    if present is not None:
        assert sum(counts["counts"]) == present  # counted on what stays known
    said = capsys.readouterr().err
    assert "masked" in said


def test_completion_receives_the_logits_of_every_image_in_every_epoch(tiny_csv: Path) -> None:
    config = options(
        tiny_csv,
        **{
            "missing.mask_labels": 0.5,
            "run.epochs": 2,
            "encoder.freeze": "encoder",
            "optimizer.lr": 1e-9,
            "optimizer.ema": 0,
        },
    )
    config = config.resolved()
    splits = read_data(config)
    from gatlabel.graph import Cooccurrence

    counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
    model = build_model(config, counts.graph("identity"))
    witness = Witness(splits.train.targets.to_dense())
    batches = loaders(splits, model, config)
    fit(model, config, batches, None, completion=witness)
    assert [progress for _, progress in witness.told] == [0.5, 1.0]
    dataset = batches[0].dataset
    images = torch.stack([dataset[k][0] for k in range(len(dataset))])
    with torch.no_grad():
        expected = model(images)
    for logits, _ in witness.told:  # the rate is too small for the model to have moved
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-3)


def test_training_uses_the_completed_targets(tiny_csv: Path, tmp_path: Path) -> None:
    """Filled in with 0 and 1 by a treatment, a run equals one on the filled-in labels."""
    config = options(
        tiny_csv, **{"missing.mask_labels": 0.5, "run.epochs": 1, "missing.unknown": "negative"}
    ).resolved()
    splits = read_data(config)
    from gatlabel.data import DataSplits
    from gatlabel.graph import Cooccurrence

    counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
    graph = counts.graph("identity")
    filled = splits.train.with_targets(np.maximum(splits.train.targets, 0))
    heads = []
    for part, completion in (
        (splits.train, make_completion("negative", splits.train.targets.to_dense(), graph)),
        (filled, None),
        (splits.train, None),
    ):
        torch.manual_seed(0)
        model = build_model(config, graph)
        used = DataSplits("tiny", part, splits.val)
        fit(model, config, loaders(used, model, config), None, completion=completion)
        heads.append(model.head.classifier()[0].detach())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_run_resumes_with_its_completed_targets(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(UNKNOWN, "complete", Drift)
    shared = {
        "missing.mask_labels": 0.5,
        "missing.unknown": "complete",
        "optimizer.schedule": "constant",
        "optimizer.lr": 1e-2,
    }
    whole = train(
        options(tiny_csv, **shared, **{"run.epochs": 4, "run.output": tmp_path / "whole"})
    )
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert metrics["protocol"]["unknown labels"].endswith("complete")
    interrupted = train_part(tiny_csv, tmp_path / "part", shared)
    ours, theirs = (run.model.head.classifier() for run in (whole, interrupted))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert interrupted.curves == whole.curves


def test_the_checkpoint_holds_what_the_epoch_completed(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(UNKNOWN, "complete", Drift)
    config = options(
        tiny_csv,
        **{
            "run.epochs": 1,
            "missing.mask_labels": 0.5,
            "missing.unknown": "complete",
            "run.output": tmp_path / "r",
        },
    )
    train(config)
    state = torch.load(tmp_path / "r" / "checkpoints" / "last.ckpt", weights_only=True)
    known = read_data(config).train.targets.to_dense()
    assert torch.equal(
        state["objective"]["labels"]["targets"], torch.where(known == -1, 1.0, known)
    )


def train_part(root: Path, folder: Path, shared: dict) -> RunResult:
    """Interrupts a run of four epochs after the third, then resumes it."""
    from gatlabel.engine import callbacks

    class StopError(Exception):
        pass

    written = callbacks.Curves.on_train_epoch_end

    def interrupted(self, trainer, module) -> None:
        written(self, trainer, module)
        if trainer.current_epoch == 2:
            raise StopError

    config = options(root, **shared, **{"run.epochs": 4, "run.output": folder})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.Curves, "on_train_epoch_end", interrupted)
        with pytest.raises(StopError):
            train(config)
    return resume(folder)
