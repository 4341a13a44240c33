"""Images without labels in addition to labelled ones, from the command line to the model."""

import shutil
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.training import TrainConfig, plain
from gatlabel.training.data import read_data

OPTIONS = [
    *("--data", "csv", "--backbone", "shufflenet_v2_x0_5", "--weights", "none"),
    *("--image-size", "32", "--batch-size", "8", "--epochs", "3", "--no-progress"),
    *("--recipe", "plain"),
]


@pytest.fixture
def unlabelled(tiny_csv: Path, tmp_path: Path) -> Path:
    """Nine images that no list has, and two that it has."""
    folder = tmp_path / "more"
    folder.mkdir()
    for number in range(9):
        shutil.copy(tiny_csv / "images" / f"{number}.png", folder / f"new{number}.png")
    return folder


def config(root: Path, **more) -> TrainConfig:
    return plain().with_options({"data": "csv", "data.root": root, **more})


def test_they_are_training_images_with_unknown_labels(tiny_csv: Path, unlabelled: Path) -> None:
    alone = read_data(config(tiny_csv))
    both = read_data(
        config(tiny_csv, **{"missing.unknown": "pseudo", "missing.unlabelled": unlabelled})
    )
    extra = len(both.train) - len(alone.train)
    assert extra == 9
    assert bool((both.train.targets.to_dense()[-9:] == -1).all())
    assert any("9 images without labels" in note for note in both.notes)
    assert len(both.val) == len(alone.val)


def test_images_of_the_data_set_are_left_out(tiny_csv: Path, unlabelled: Path) -> None:
    """In the folder of the data set itself nothing is new: validation images stay out."""
    options = {"missing.unknown": "pseudo", "missing.unlabelled": tiny_csv / "images"}
    with pytest.raises(InputError, match="no images"):
        read_data(config(tiny_csv, **options))


@pytest.mark.parametrize("unknown", ["pseudo", "complete"])
def test_a_run_with_them_trains_evaluates_and_is_repeated(
    unknown: str, tiny_csv: Path, unlabelled: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["train", *OPTIONS, "--root", str(tiny_csv), "--output", str(run)]
    words += ["--unlabelled", str(unlabelled), "--missing.unknown", unknown]
    assert main(words) == 0
    before = read_json(run / "metrics.json", "metrics")
    assert main(["evaluate", str(run)]) == 0
    assert main(["train", "--resume", str(run)]) == 0
    assert read_json(run / "metrics.json", "metrics") == before


def test_they_need_a_treatment(tiny_csv: Path, unlabelled: Path, capsys) -> None:
    words = ["train", *OPTIONS, "--root", str(tiny_csv), "--unlabelled", str(unlabelled)]
    assert main(words) == 2
    assert "only for complete, pseudo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [
                "--head",
                "mlknn",
                "--freeze",
                "encoder",
                "--epochs",
                "0",
                "--missing.unknown",
                "pseudo",
            ],
            "only for ignore",
        ),
        (["--missing.pseudo-by-graph"], "only for pseudo"),
        (
            ["--missing.unknown", "pseudo", "--missing.pseudo-by-graph", "--graph", "identity"],
            "has no edges",
        ),
    ],
)
def test_pseudo_labels_without_what_they_need_are_refused(
    words: list[str], message: str, tiny_csv: Path, tmp_path: Path, capsys
) -> None:
    output = tmp_path / "run"
    given = ["train", *OPTIONS, "--root", str(tiny_csv), "--output", str(output), *words]
    assert main(given) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not output.exists()
