"""Configurations that cannot be built are refused before anything is trained or written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import TrainConfig, data
from gatlabel.training.building import build_model, check_batches
from gatlabel.training.data import checked_workers

QUICK = {"encoder.backbone": "mobilenet_v3_small", "encoder.weights": "none", "images.size": 32}
COUNTS = Cooccurrence.from_targets(np.eye(3), ["a", "b", "c"])


def built(**options: Any) -> tuple[MultiLabelClassifier, TrainConfig]:
    config = TrainConfig().with_options({**QUICK, "head": "linear", **options})
    return build_model(config, COUNTS.graph("identity")), config


@pytest.mark.parametrize(("name", "size"), [("squeezenet1_1", 16), ("alexnet", 62)])
def test_images_that_an_encoder_does_not_take_are_refused(name: str, size: int) -> None:
    message = f"image_size={size}: encoder {name!r} does not take images of {size} pixels"
    with pytest.raises(InputError, match=message) as caught:
        built(**{"encoder.backbone": name, "images.size": size})
    assert "\n" not in str(caught.value)
    assert built(**{"encoder.backbone": name, "images.size": 64})[0].image_size == 64


def test_batch_norms_can_only_be_frozen_where_there_are_some() -> None:
    message = "freeze=norms: the encoder squeezenet1_1 has no batch norms to freeze"
    with pytest.raises(InputError, match=message):
        built(**{"encoder.backbone": "squeezenet1_1", "images.size": 64, "encoder.freeze": "norms"})


@pytest.mark.parametrize(("batch_size", "images"), [(1, 24), (8, 1), (1, 1)])
def test_batches_of_one_do_not_go_through_batch_norm(batch_size: int, images: int) -> None:
    model, config = built(**{"run.batch_size": batch_size})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.random.get_rng_state()
    message = rf"batch_size={batch_size} with {images} training images results in batches of one"
    with pytest.raises(InputError, match=message):
        check_batches(model, config, images)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "options",
    [
        {"encoder.freeze": "norms"},  # which then use what they know
        {"encoder.freeze": "encoder"},
        {"images.size": 64},  # a map of more than one cell
        {"encoder.backbone": "squeezenet1_1", "images.size": 64},  # which has no batch norms
        {"run.batch_size": 2},
    ],
)
def test_batches_that_can_be_learned_from_are_taken(options: dict[str, Any]) -> None:
    model, config = built(**{"run.batch_size": 1, **options})
    check_batches(model, config, 5)


def test_workers_that_a_machine_cannot_carry_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "usable_cores", lambda: 3)
    message = "workers=100000: this machine has 3 usable cores; give at most 64"
    with pytest.raises(InputError, match=message):
        checked_workers(100_000)
    assert checked_workers(64) == 64
    monkeypatch.setattr(data, "usable_cores", lambda: 48)
    assert checked_workers(192) == 192


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image-size", "1"], "images.size=1: must be at least 8"),
        (["--workers", "100000"], "workers=100000: this machine has"),
        (["--batch-size", "1", "--recipe", "plain"], "batch_size=1 with 16 training images"),
        (["--loss", "bce", "--loss.clip", "0.3"], "loss.clip=0.3: not for loss=bce, only for asl"),
        (["--epochs", "9" * 40], "epochs"),
        (["--lr", "nan"], "lr"),
    ],
)
def test_one_line_and_nothing_written(
    words: list[str], message: str, tiny_csv: Path, tmp_path: Path, capsys: Any
) -> None:
    given = ["--data", "csv", "--root", str(tiny_csv), "--no-progress", "--epochs", "1"]
    quick = ["--backbone", "mobilenet_v3_small", "--weights", "none"]
    sized = [] if "--image-size" in words else ["--image-size", "32"]
    out = tmp_path / "run"
    assert main(["train", *given, *quick, *sized, *words, "--output", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert not out.exists()
