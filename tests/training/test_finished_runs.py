"""The folder of a finished run is anyone's: to use it downloads nothing and reads no other file."""

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
        TrainConfig(
            data="csv", root=tiny_csv, output=tmp_path / "run", backbone="mobilenet_v3_small",
            weights="none", image_size=32, epochs=1, batch_size=8, hidden=16, heads=2, seed=3,
            progress=False, device="cpu",
        )
    )  # fmt: skip
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
    path.write_text(yaml.safe_dump({**content, **options}), encoding="utf-8")


def test_a_run_is_explained_without_what_its_config_names(run: Path, tmp_path: Path) -> None:
    expected = explain_run(run)
    secret = tmp_path / "secret.npz"  # none that could be read
    graph = tmp_path / "secret.json"
    for file in (secret, graph):
        file.write_bytes(b"secret")
    hostile = {"node_features": str(secret), "graph": str(graph), "cache": "disk"}
    for weights in ("default", str(secret), "../secret.npz"):
        changed(run, weights=weights, download=True, **hostile)
        assert explain_run(run) == expected


def test_other_commands_do_not_ask_what_it_names(run: Path) -> None:
    (run / "config.yaml").write_text("root: [")
    assert main(["predict", str(run), str(run.parent / "data")]) == 0
    assert main(["export", str(run), "--format", "pt2"]) == 0


@pytest.mark.parametrize("given", [False, True])
def test_evaluating_downloads_only_where_it_is_told_to(
    given: bool, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    asked: list[Any] = []

    def record(*arguments: Any) -> None:
        asked.append(arguments)
        raise InputError("no network")

    monkeypatch.setattr(voc_reader, "fetch_and_unpack", record)
    changed(run, data="voc", root=str(tmp_path / "nowhere"), download=True)
    assert main(["evaluate", str(run), *(["--download"] if given else [])]) == 2
    assert bool(asked) == given
    assert not (tmp_path / "nowhere").exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "gcn"}, r"config\.yaml says head=gcn, but the model in .* has gat: .*two runs"),
        ({"backbone": "resnet18"}, "says backbone=resnet18, but the model in .* has mobilenet_v3"),
        ({"image_size": 64}, "says image_size=64, but the model in .* has 32"),
        ({"resize": "pad"}, "says resize=pad, but the model in .* has squash"),
        ({"stride": 16}, "says stride=16, but the model in .* has None"),
        ({"stages": 2}, "says stages=2, but the model in .* has 1"),
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
