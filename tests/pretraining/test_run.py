"""Pre-training runs: what they leave, how they resume, and that training starts from them."""

import csv
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from gatlabel.cli import main
from gatlabel.data import unlabelled_images
from gatlabel.encoders import create_encoder
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.labels import LabelSet
from gatlabel.pretraining import METHODS, PretrainConfig, pretrain, resume_pretraining

SMALL = {
    "backbone": "shufflenet_v2_x0_5",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 8,
    "progress": False,
    "workers": 0,
}


def config(output: Path, **more) -> PretrainConfig:
    return PretrainConfig(**{**SMALL, "output": output, **more})


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_run_leaves_an_encoder_that_has_learned(
    method: str, tiny_csv: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = pretrain(tiny_csv, config(run, method=method, labels=tiny_csv / "labels.csv"))
    assert {path.name for path in run.iterdir()} >= {
        *("config.yaml", "metrics.csv", "metrics.json", "encoder.safetensors", "encoder.json"),
        "checkpoints",
    }
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"train_loss", "val_spread", "val_neighbours", "val_linear"} <= set(rows[0])
    torch.manual_seed(0)
    fresh = create_encoder("shufflenet_v2_x0_5", weights=None)
    loaded = create_encoder("shufflenet_v2_x0_5", weights=run)
    state = loaded.state_dict()
    assert all(torch.equal(state[k], v) for k, v in result.model.encoder.state_dict().items())
    assert any(not torch.equal(state[k], v) for k, v in fresh.state_dict().items())


def test_a_training_starts_from_it(tiny_csv: Path, tmp_path: Path) -> None:
    run, trained = tmp_path / "run", tmp_path / "trained"
    pretrain(tiny_csv, config(run))
    words = ["train", "--data", "csv", "--root", str(tiny_csv), "--backbone", "shufflenet_v2_x0_5"]
    words += ["--weights", str(run), "--recipe", "plain", "--epochs", "1", "--freeze", "encoder"]
    words += ["--image-size", "32", "--no-progress", "--batch-size", "8", "--head", "linear"]
    assert main([*words, "--output", str(trained)]) == 0
    ours = load_file(run / "encoder.safetensors")
    theirs = load_file(trained / "model.safetensors")
    for name, value in ours.items():
        assert torch.equal(theirs[f"encoder.{name}"], value), name
    # and the weights of a trained run serve alike
    again = create_encoder("shufflenet_v2_x0_5", weights=trained)
    assert torch.equal(again.state_dict()["trunk.conv1.0.weight"], ours["trunk.conv1.0.weight"])


@pytest.mark.parametrize(
    ("options", "images", "expected"),
    [
        ({}, 9_999, 16),
        ({}, 10_000, 64),
        ({"method": "simclr"}, 100, 64),  # compares images of a batch, so few are too few
        ({"batch_size": 48}, 100, 48),
    ],
)
def test_few_images_make_small_batches(options, images: int, expected: int) -> None:
    assert PretrainConfig(**options).images_per_step(images) == expected


def test_a_run_takes_as_many_steps_as_its_batches(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is found again on resuming, as the file of options leaves it open."""
    monkeypatch.setattr("gatlabel.pretraining.config.SMALL_BATCH_SIZE", 4)
    images = len(unlabelled_images(tiny_csv, LabelSet(["any"])))
    steps = {}
    for size in (None, 4, 8):
        folder = tmp_path / f"{size}"
        pretrain(tiny_csv, config(folder, batch_size=size, epochs=1))
        checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        steps[size] = checkpoint["global_step"]
    assert steps == {None: images // 4, 4: images // 4, 8: images // 8}
    assert yaml.safe_load((tmp_path / "None" / "config.yaml").read_text())["batch_size"] is None


@pytest.mark.parametrize("method", ["dcl", "dino"])
def test_an_interrupted_run_continues_bit_for_bit(
    method: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain(tiny_csv, config(tmp_path / "whole", method=method, epochs=3))
    from gatlabel.pretraining import run as module

    written = module._write_curves

    def stop(folder: Path, rows: list[dict[str, float]], log: object) -> None:
        written(folder, rows, log)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_curves", stop)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            pretrain(tiny_csv, config(tmp_path / "cut", method=method, epochs=3))
    assert not (tmp_path / "cut" / "encoder.safetensors").exists()
    resumed = resume_pretraining(tmp_path / "cut")
    for name, value in whole.model.encoder.state_dict().items():
        assert torch.equal(resumed.model.encoder.state_dict()[name], value), name
    with pytest.raises(InputError, match="is finished"):
        resume_pretraining(tmp_path / "cut")


def test_only_runs_are_overwritten_and_only_on_request(tiny_csv: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pretrain(tiny_csv, config(run))
    before = load_file(run / "encoder.safetensors")
    with pytest.raises(InputError, match="not empty"):
        pretrain(tiny_csv, config(run, seed=1))
    pretrain(tiny_csv, config(run, seed=1, overwrite=True))
    after = load_file(run / "encoder.safetensors")
    assert any(not torch.equal(before[name], value) for name, value in after.items())
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a pre-training run"):
        pretrain(tiny_csv, config(other, overwrite=True))
    assert (other / "mine.txt").read_text() == "mine"


def test_without_labels_the_spread_is_watched(tiny_csv: Path, tmp_path: Path) -> None:
    source = unlabelled_images(tiny_csv / "images", LabelSet(["any"]))
    result = pretrain(source, config(tmp_path / "run"))
    assert set(result.curves[0]) >= {"train_loss", "val_spread"}
    assert "val_linear" not in result.curves[0]
    assert read_json(tmp_path / "run" / "metrics.json", "metrics")["images"] == len(source)


def test_from_the_command_line(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    words = ["pretrain", str(tiny_csv / "images"), "--backbone", "shufflenet_v2_x0_5"]
    words += ["--epochs", "1", "--batch-size", "8", "--image-size", "32", "--no-progress"]
    words += ["--labels", str(tiny_csv / "labels.csv"), "--output", str(run)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "--weights" in shown
    assert main(["pretrain", "--resume", str(run)]) == 2
    assert "finished" in capsys.readouterr().err
    assert main(words) == 2
    assert "not empty" in capsys.readouterr().err
    repeat = ["pretrain", "--config", str(run / "config.yaml"), "--print-config", "--epochs", "3"]
    assert main(repeat) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert printed == {**written, "epochs": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "folder of images"),
        (["{nothing}"], "no such folder"),
        (["{images}", "--method", "simclrr"], "simclr"),
        (["{images}", "--batch-size", "1"], "at least 2"),
        (["{images}", "--labels", "{nothing}/labels.csv"], "labels.csv"),
        (["--resume", "{nothing}"], "not a pre-training run"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, tiny_csv: Path, tmp_path: Path, capsys
) -> None:
    places = {"nothing": tmp_path / "nothing", "images": tiny_csv / "images"}
    given = [word.format(**places) for word in words]
    assert main(["pretrain", *given, "--output", str(tmp_path / "run")][: 1 + len(given) + 2]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()
