"""The folder of a finished run is anyone's: to use it downloads nothing and reads no other file."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torchvision.models import WeightsEnum, get_model

from gatlabel.cli import main
from gatlabel.data import voc_reader
from gatlabel.encoders import create_encoder, unread_encoder
from gatlabel.errors import InputError
from gatlabel.training import TrainConfig, train
from gatlabel.training.explaining import explain_run
from gatlabel.training.finished_runs import open_run


@pytest.fixture
def run(tiny_csv: Path, tmp_path: Path) -> Path:
    train(
        TrainConfig().with_options(
            {
                "data": "csv",
                "data.root": tiny_csv,
                "run.output": tmp_path / "run",
                "encoder.backbone": "mobilenet_v3_small",
                "encoder.weights": "none",
                "images.size": 32,
                "run.epochs": 1,
                "run.batch_size": 8,
                "head.hidden": 16,
                "head.heads": 2,
                "run.seed": 3,
                "run.progress": False,
                "run.device": "cpu",
            }
        )
    )
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def changed(run: Path, **options: Any) -> None:
    path = run / "config.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in options.items():
        *parents, last = name.split(".")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_a_run_is_explained_without_what_its_config_names(run: Path, tmp_path: Path) -> None:
    expected = explain_run(run)
    secret = tmp_path / "secret.npz"  # none that could be read
    graph = tmp_path / "secret.json"
    for file in (secret, graph):
        file.write_bytes(b"secret")
    hostile = {"head.node_features": str(secret), "graph": str(graph), "images.cache": "disk"}
    for weights in ("default", str(secret), "../secret.npz"):
        changed(run, **hostile, **{"encoder.weights": weights})
        assert explain_run(run) == expected


def test_other_commands_do_not_ask_what_it_names(run: Path) -> None:
    (run / "config.yaml").write_text("root: [")
    assert main(["predict", str(run), str(run.parent / "data")]) == 0
    assert main(["export", str(run), "--format", "pt2"]) == 0


@pytest.mark.parametrize("given", [False, True])
def test_evaluating_downloads_only_on_request(
    given: bool, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    asked: list[Any] = []

    def record(*arguments: Any) -> None:
        asked.append(arguments)
        raise InputError("no network")

    monkeypatch.setattr(voc_reader, "fetch_and_unpack", record)
    data = {"name": "voc", "root": str(tmp_path / "nowhere"), "download": True}
    changed(run, data=data)
    assert main(["evaluate", str(run), *(["--data.download"] if given else [])]) == 2
    assert bool(asked) == given
    assert not (tmp_path / "nowhere").exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "gcn"}, r"config\.yaml has head=gcn, but the model .* has gat: .*different runs"),
        (
            {"encoder.backbone": "resnet18"},
            "has encoder.backbone=resnet18, but the model in .* has mobilenet_v3",
        ),
        ({"images.size": 64}, "has images.size=64, but the model in .* has 32"),
        ({"images.resize": "pad"}, "has images.resize=pad, but the model in .* has squash"),
        ({"encoder.stride": 16}, "has encoder.stride=16, but the model in .* has None"),
        ({"encoder.stages": 2}, "has encoder.stages=2, but the model in .* has 1"),
    ],
)
def test_options_of_another_run_are_refused(
    options: dict[str, Any], message: str, run: Path
) -> None:
    changed(run, **options)
    with pytest.raises(InputError, match=message):
        open_run(run)
    with pytest.raises(InputError, match=message):
        explain_run(run)
    assert main(["evaluate", str(run)]) == 2


@pytest.mark.filterwarnings("ignore:auxiliary heads")
@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        pytest.param("googlenet", marks=pytest.mark.slow),
        pytest.param("vgg11", marks=pytest.mark.slow),
    ],
)
def test_what_is_drawn_after_an_encoder_is_the_same_without_its_weights(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    state = get_model(name, weights=None, **options).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *a, **k: dict(state))
    drawn = []
    for make in (create_encoder, unread_encoder):
        torch.manual_seed(5)
        make(name, "default")
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("preset", [{"preset": "voc"}, {"preset": "good", "scene_preset": "voc"}])
def test_a_run_folder_of_before_options_had_groups_is_evaluated(
    preset: dict[str, str], run: Path, tiny_csv: Path, capsys: Any
) -> None:
    """As version 0.1.0 before 2026-11-29 wrote it: 92 or more options side by side."""
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    flat = {
        "recipe": "plain", "data": "csv", "root": str(tiny_csv), "annotations": None,
        "image_column": "image", "separator": "|", "split_column": "split", "images": None,
        "fractions": [0.7, 0.15, 0.15], "download": True, "on_error": "stop", "scene_size": None,
        "label_noise": 0.0, "hide_labels": 0.0, "train_images": 2000, "test_images": 600,
        "backbone": "mobilenet_v3_small", "weights": "none", "stride": None, "image_size": 32,
        "resize": "squash", "head": "gat", "hidden": 16, "graph": "conditional", "loss": "bce",
        "epochs": 1, "seed": 3, "compare": "auto", **preset,
    }  # fmt: skip
    (run / "config.yaml").write_text(yaml.safe_dump(flat))
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    scenes = {**flat, "data": "scenes", "root": None, "hidden": 256, "scene_hidden": 0.25}
    (run / "config.yaml").write_text(yaml.safe_dump(scenes))
    data = open_run(run)[1].data
    assert (data.preset, data.hidden, data.train_images) == ("voc", 0.25, 2000)
    (run / "config.yaml").write_text(yaml.safe_dump({**flat, "stride": 16}))
    assert main(["evaluate", str(run)]) == 2
    assert "they belong to different runs" in capsys.readouterr().err
