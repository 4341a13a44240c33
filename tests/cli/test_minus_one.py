"""The meaning of -1 in a file: required if ambiguous, an option of every command on data."""

from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.training import TrainConfig
from gatlabel.training.data import read_data
from tests.data.sample_images import save_image


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    rows = ["image,split,cat,dog,cow"]
    for k in range(8):
        save_image(tmp_path / f"{k}.png")
        cells = (1 if k % 2 else -1, 1 if k % 4 else -1, -1 if k % 2 else 1)
        rows.append(f"{k}.png,{'train' if k < 6 else 'val'},{','.join(map(str, cells))}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def test_graphs_of_a_csv_file(celeba: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["graph", "build", str(celeba), str(celeba / "graph.json")]
    assert main(words) == 2
    assert "minus-one to absent" in capsys.readouterr().err
    assert not (celeba / "graph.json").exists()
    assert main([*words, "--minus-one", "absent"]) == 0
    assert "-1 is read as absent" in capsys.readouterr().out
    assert LabelGraph.load(celeba / "graph.json").names == ("cat", "dog", "cow")
    assert main(["graph", "compare", str(celeba), "--minus-one", "absent"]) == 0


@pytest.mark.parametrize("command", ["build", "compare"])
def test_the_option_is_refused_where_it_has_no_effect(
    celeba: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    LabelGraph.from_edges([("cat", "dog")]).save(celeba / "graph.json")
    sources = [str(celeba / "graph.json")] * 2
    assert main(["graph", command, *sources, "--minus-one", "absent"]) == 2
    assert "--minus-one is for counts of a csv file" in capsys.readouterr().err


def test_the_option_of_training(celeba: Path) -> None:
    given = {"data": "csv", "data.root": celeba, "data.minus_one": "absent"}
    splits = read_data(TrainConfig().with_options(given))
    assert splits.train.targets.to_dense().min() == 0
    with pytest.raises(InputError, match="minus_one=absent: not for data=voc, only for csv, json"):
        read_data(
            TrainConfig().with_options(
                {"data": "voc", "data.root": celeba, "data.minus_one": "absent"}
            )
        )
