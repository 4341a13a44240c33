"""Runs whose features are of several stages: trained, resumed, evaluated, and started from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.cli import main
from gatlabel.deploy import Predictor
from gatlabel.encoders import create_encoder
from gatlabel.errors import InputError
from gatlabel.experiments import make_config
from gatlabel.experiments.scene_encoder import _key
from gatlabel.graph import Cooccurrence
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import TrainConfig, plain, resume, train
from gatlabel.training.building import build_model
from gatlabel.training.initialising import start_from
from tests.training.test_resuming import cut

ENCODER = "shufflenet_v2_x0_5"
WIDTHS = (1024, 192, 96)
NAMES = ["a", "b", "c"]


def config_of(root: Path, folder: Path, **options) -> TrainConfig:
    quick = {
        "data": "csv",
        "data.root": root,
        "run.output": folder,
        "encoder.backbone": ENCODER,
        "encoder.stages": 3,
    }
    quick |= {
        "encoder.weights": "none",
        "images.size": 32,
        "run.batch_size": 8,
        "run.epochs": 1,
        "run.workers": 0,
    }
    quick |= {
        "run.progress": False,
        "run.compare": "no",
        "images.cache_folder": folder.parent / "cache",
    }
    return plain().with_options({**quick, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"head": "linear", "head.start": "ridge", "encoder.freeze": "encoder"},
        {
            "head": "gat",
            "head.hidden": 8,
            "head.start": "ridge",
            "encoder.freeze": "norms",
            "encoder.pooling": "gem",
        },
        {"head": "linear", "encoder.stride": 16},
    ],
)
def test_a_run_from_training_to_evaluation(options, tiny_csv: Path, tmp_path: Path) -> None:
    if "head.start" not in options:
        options = {**options, "images.cache_folder": TrainConfig().images.cache_folder}
    lines: list[str] = []
    result = train(config_of(tiny_csv, tmp_path / "run", **options), log=lines.append)
    model = MultiLabelClassifier.from_pretrained(result.folder)
    assert model.encoder.stages == 3
    assert model.head.in_features == model.encoder.pooled_features
    if "encoder.stride" not in options:
        assert model.head.in_features == sum(WIDTHS)
    assert any(line.startswith("first model: ridge") for line in lines) == ("head.start" in options)
    assert main(["evaluate", str(result.folder), "--json"]) == 0
    image = next(iter(sorted(tiny_csv.rglob("*.png"))))
    found = Predictor.load(result.folder)(image)
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert len(found.probabilities) == model(images).shape[1]


def test_a_run_continues_after_an_interruption(tiny_csv: Path, tmp_path: Path) -> None:
    options = {"head": "linear", "head.start": "ridge", "run.epochs": 2}
    whole = train(config_of(tiny_csv, tmp_path / "whole", **options))
    cut(config_of(tiny_csv, tmp_path / "cut", **options), step=3)
    resume(tmp_path / "cut")
    theirs, ours = (
        MultiLabelClassifier.from_pretrained(folder) for folder in (whole.folder, tmp_path / "cut")
    )
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


@pytest.mark.parametrize(
    ("stages", "message"),
    [(0, "stages=0"), (65, "stages=65"), (9, "stages=9: encoder 'shufflenet_v2_x0_5' has 6")],
)
def test_numbers_that_cannot_be(stages: int, message: str, tiny_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        train(
            config_of(
                tiny_csv,
                tmp_path / "run",
                **{"encoder.stages": stages, "head": "linear", "images.cache": "disk"},
            )
        )
    assert not (tmp_path / "run" / "model.json").exists()


def test_on_the_command_line_it_is_one_line(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    words = ["train", "--data", "csv", "--root", str(tiny_csv), "--output", str(tmp_path / "run")]
    words += ["--backbone", ENCODER, "--weights", "none", "--encoder.stages"]
    for value, rest in (("9", []), ("2", ["--head", "csra"]), ("1.5", []), ("-1", [])):
        assert main([*words, value, *rest]) == 2
        error = capsys.readouterr().err.strip()
        assert "Traceback" not in error
        assert error.count("gatlabel: ") == 1
        assert "stages" in error.splitlines()[-1]
    assert not (tmp_path / "run" / "model.json").exists()


# --- from another run -------------------------------------------------------------------------


def model_of(stages: int, seed: int, **options) -> MultiLabelClassifier:
    torch.manual_seed(seed)
    encoder = create_encoder(ENCODER, stages=stages)
    return MultiLabelClassifier.create(
        encoder, options.pop("head", "linear"), labels=NAMES, image_size=32, **options
    ).eval()


IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)


@torch.no_grad()
def test_the_same_number_starts_with_the_same_logits(tmp_path: Path) -> None:
    source, model = (
        model_of(3, 0, pooling="gem"),
        model_of(3, 1, pooling="gem"),
    )
    for k, parameter in enumerate(source.pool.parameters()):
        parameter.fill_(2.0 + k)
    source.save_pretrained(tmp_path)
    assert "encoder and head" in start_from(model, tmp_path)[0]
    torch.testing.assert_close(model(IMAGES), source(IMAGES))


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [
        (3, 1, {}),
        (1, 3, {}),
        (3, 2, {"pooling": "gem"}),
        (3, 3, {"pooling": "max"}),
    ],
)
@torch.no_grad()
def test_with_another_number_of_labels_only_the_encoder_is_copied(
    theirs: int, ours: int, options, tmp_path: Path
) -> None:
    source, model = model_of(theirs, 0), model_of(ours, 1, **options)
    source.save_pretrained(tmp_path)
    before = model.head.classifier()[0].clone()
    line = start_from(model, tmp_path)[0]
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    if theirs != ours:
        assert f"only the encoder (its classifiers use stages={theirs}, here {ours})" in line
        assert torch.equal(model.head.classifier()[0], before)


def test_left_out_the_number_is_that_of_the_run(tmp_path: Path) -> None:
    model_of(3, 0).save_pretrained(tmp_path)
    files = {"data": "csv", "data.root": tmp_path, "encoder.init": tmp_path}
    config = plain().with_options(files)
    assert config.resolved().encoder.stages == 3
    assert config.with_options({"encoder.stages": 2}).resolved().encoder.stages == 2
    maps = config.with_options({"head": "csra"})
    assert maps.resolved().encoder.stages == 1  # it takes the last map
    model_of(1, 0).save_pretrained(tmp_path)
    assert config.resolved().encoder.stages == 1


# --- what names runs --------------------------------------------------------------------------


def test_the_number_of_stages_decides_the_results_of_benchmarks() -> None:
    config = TrainConfig().with_options({"head": "linear"}).resolved()
    wide = config.with_options({"encoder.stages": 2})
    assert make_config("heads", train=wide).fixed()["train"]["encoder.stages"] == 2
    assert _key(config, 10, 1) != _key(wide, 10, 1)


def test_messages_name_the_encoder() -> None:
    config = TrainConfig().with_options({"encoder.backbone": "resnet18", "encoder.stages": 3})
    assert config.encoder.text == "resnet18, its last 3 stages"
    assert config.with_options({"encoder.stages": 1}).encoder.text == "resnet18"


@pytest.mark.parametrize("head", ["linear", "csra"])
def test_in_benchmarks_heads_on_maps_take_the_last_map(head: str) -> None:
    counts = Cooccurrence.from_targets(np.eye(3, dtype=np.float32), NAMES)
    config = TrainConfig().with_options(
        {
            "head": head,
            "encoder.backbone": ENCODER,
            "encoder.weights": "none",
            "encoder.stages": 3,
            "images.size": 32,
        }
    )
    model = build_model(config, counts.graph("identity"))
    assert model.encoder.stages == (1 if head == "csra" else 3)
