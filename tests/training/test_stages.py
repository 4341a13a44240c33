"""Runs whose features are of several stages: trained, resumed, evaluated, and started from."""

from __future__ import annotations

import dataclasses
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
from gatlabel.training import TrainConfig, default, resume, train
from gatlabel.training.building import build_model
from gatlabel.training.initialising import start_from
from tests.training.test_resuming import cut

ENCODER = "shufflenet_v2_x0_5"
WIDTHS = (1024, 192, 96)
NAMES = ["a", "b", "c"]


def config_of(root: Path, folder: Path, **options) -> TrainConfig:
    quick = {"data": "csv", "root": root, "output": folder, "backbone": ENCODER, "stages": 3}
    quick |= {"weights": "none", "image_size": 32, "batch_size": 8, "epochs": 1, "workers": 0}
    quick |= {"progress": False, "compare": "no", "cache_folder": folder.parent / "cache"}
    return default(**{**quick, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"head": "linear", "start": "ridge", "freeze": "encoder"},
        {"head": "gat", "hidden": 8, "start": "ridge", "freeze": "norms", "pooling": "gem"},
        {"head": "linear", "stride": 16},
    ],
)
def test_a_run_from_training_to_evaluation(options, tiny_csv: Path, tmp_path: Path) -> None:
    if "start" not in options:
        options = {**options, "cache_folder": TrainConfig().cache_folder}
    lines: list[str] = []
    result = train(config_of(tiny_csv, tmp_path / "run", **options), say=lines.append)
    model = MultiLabelClassifier.from_pretrained(result.folder)
    assert model.encoder.stages == 3
    assert model.head.in_features == model.encoder.pooled_features
    if "stride" not in options:
        assert model.head.in_features == sum(WIDTHS)
    assert any(line.startswith("first model: ridge") for line in lines) == ("start" in options)
    assert main(["evaluate", str(result.folder), "--json"]) == 0
    image = next(iter(sorted(tiny_csv.rglob("*.png"))))
    found = Predictor.load(result.folder)(image)
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert len(found.probabilities) == model(images).shape[1]


def test_a_run_goes_on_after_an_interruption(tiny_csv: Path, tmp_path: Path) -> None:
    options = {"head": "linear", "start": "ridge", "epochs": 2}
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
        train(config_of(tiny_csv, tmp_path / "run", stages=stages, head="linear", cache="disk"))
    assert not (tmp_path / "run" / "model.json").exists()


def test_on_the_command_line_it_is_one_line(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    words = ["train", "--data", "csv", "--root", str(tiny_csv), "--output", str(tmp_path / "run")]
    words += ["--backbone", ENCODER, "--weights", "none", "--stages"]
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
    source, model = model_of(3, 0, pooling="gem"), model_of(3, 1, pooling="gem")
    for k, parameter in enumerate(source.pool.parameters()):
        parameter.fill_(2.0 + k)
    source.save_pretrained(tmp_path)
    assert "encoder and head" in start_from(model, tmp_path)[0]
    torch.testing.assert_close(model(IMAGES), source(IMAGES))


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [(3, 1, {}), (1, 3, {}), (3, 2, {"pooling": "gem"}), (3, 3, {"pooling": "max"})],
)
@torch.no_grad()
def test_another_number_takes_the_encoder_and_says_why_no_more(
    theirs: int, ours: int, options, tmp_path: Path
) -> None:
    source, model = model_of(theirs, 0), model_of(ours, 1, **options)
    source.save_pretrained(tmp_path)
    before = model.head.classifier()[0].clone()
    line = start_from(model, tmp_path)[0]
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    if theirs != ours:
        assert f"the encoder only (its classifiers take stages={theirs} of it, here {ours})" in line
        assert torch.equal(model.head.classifier()[0], before)


def test_left_out_the_number_is_that_of_the_run(tmp_path: Path) -> None:
    model_of(3, 0).save_pretrained(tmp_path)
    files = {"data": "csv", "root": tmp_path, "init": tmp_path}
    assert default(**files).resolved().stages == 3
    assert default(**files, stages=2).resolved().stages == 2
    assert default(**files, head="csra").resolved().stages == 1  # it takes the last map
    model_of(1, 0).save_pretrained(tmp_path)
    assert default(**files).resolved().stages == 1


# --- what names runs --------------------------------------------------------------------------


def test_one_stage_leaves_no_trace_in_names_of_caches_and_protocols() -> None:
    config = TrainConfig(head="linear").resolved()
    wide = dataclasses.replace(config, stages=2)
    assert "stages" not in make_config("heads", train=config).fixed()["train"]
    assert make_config("heads", train=wide).fixed()["train"]["stages"] == 2
    assert _key(config, 10, 1) != _key(wide, 10, 1)


def test_what_names_the_encoder_says_it() -> None:
    config = TrainConfig(backbone="resnet18", stages=3)
    assert config.encoder_text == "resnet18, its last 3 stages"
    assert dataclasses.replace(config, stages=1).encoder_text == "resnet18"


@pytest.mark.parametrize("head", ["linear", "csra"])
def test_in_benchmarks_heads_on_maps_take_the_last_map(head: str) -> None:
    counts = Cooccurrence.from_targets(np.eye(3, dtype=np.float32), NAMES)
    config = TrainConfig(backbone=ENCODER, weights="none", stages=3, image_size=32)
    model = build_model(config, counts.graph("identity"), head)
    assert model.encoder.stages == (1 if head == "csra" else 3)
