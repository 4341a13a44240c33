"""A run is explained from its folder: what it was given may be gone."""

from pathlib import Path

import pytest
import torch

from gatlabel.encoders import create_encoder
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.nn import GATHead
from gatlabel.training import TrainConfig, train
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.explaining import explain_run
from gatlabel.training.run_folder import RunFolder

NAMES = ["blue", "green", "red"]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """Files that a run is given."""
    files = {
        "graph": tmp_path / "edges.csv",
        "head.node_features": tmp_path / "vectors.txt",
        "encoder.weights": tmp_path / "encoder.pth",
    }
    files["graph"].write_text("blue,red,0.9\ngreen,red,0.2\nred,blue,0.4\ngreen,blue,0.3\n")
    files["head.node_features"].write_text("red 1 .2 .1\ngreen .1 1 0\nblue .3 .2 1\n")
    torch.save(create_encoder("mobilenet_v3_small").trunk.state_dict(), files["encoder.weights"])
    return files


@pytest.fixture
def run(tiny_csv: Path, tmp_path: Path, given: dict[str, Path]) -> Path:
    options = {name: str(path) for name, path in given.items()}
    config = TrainConfig().with_options(
        {
            "data": "csv",
            "data.root": tiny_csv,
            "run.output": tmp_path / "run",
            "encoder.backbone": "mobilenet_v3_small",
            "images.size": 32,
            "run.epochs": 1,
            "run.batch_size": 8,
            "head.hidden": 16,
            "head.heads": 2,
            "run.seed": 3,
            "run.progress": False,
            "run.device": "cpu",
            **options,
        }
    )
    train(config)
    return tmp_path / "run"


def test_the_start_is_that_of_the_run_without_the_files_it_was_given(
    run: Path, given: dict[str, Path]
) -> None:
    folder = RunFolder(run)
    config, counts = folder.read_config(), Cooccurrence.load(folder.counts)
    torch.manual_seed(config.run.seed)  # as train() makes it, from the files
    start = build_model(config, build_graph(config, counts)).head.eval()
    assert isinstance(start, GATHead)
    _, attention = start.attention()
    with_files = explain_run(run)
    for path in given.values():
        path.unlink()
    found = explain_run(run)
    assert found == with_files
    ends = [(NAMES[j], NAMES[i]) for j, i in start.edge_index.T.tolist()]
    assert [(edge.source, edge.target) for edge in found.edges] == ends
    before = torch.tensor([edge.attention_before for edge in found.edges])
    assert torch.equal(before, attention.detach().mean(1))
    assert any(edge.attention != edge.attention_before for edge in found.edges)


def test_the_start_of_a_run_from_another_one_is_not_known(run: Path, tmp_path: Path) -> None:
    config = RunFolder(run).read_config()
    train(
        config.with_options(
            {"encoder.init": run, "encoder.weights": None, "run.output": tmp_path / "next"}
        )
    )
    found = explain_run(tmp_path / "next")
    assert all(edge.attention_before != edge.attention_before for edge in found.edges)  # NaN
    assert all(edge.attention == edge.attention for edge in found.edges)


def test_the_edges_of_a_label_come_before_heavier_ones(run: Path) -> None:
    def explained(most: int, label: str | None = None) -> list[tuple[str, str]]:
        explanation = explain_run(run, most=most, labels=[label] if label else ())
        assert explanation.total == 4
        return [(edge.source, edge.target) for edge in explanation.edges]

    assert explained(2) == [("red", "blue"), ("blue", "red")]
    assert explained(2, "red") == [("blue", "red"), ("green", "red")]
    assert explained(3, "blue") == [("green", "blue"), ("red", "blue"), ("blue", "red")]
    assert explained(1, "blue") == [("red", "blue")]
    assert explained(9, "green") == explained(9)
    with pytest.raises(InputError, match=r"unknown label 'redd'; did you mean 'red'"):
        explain_run(run, labels=["redd"])
