"""``gatlabel export``, and ``gatlabel predict`` on what it wrote."""

import json
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.deploy import FORMATS
from tests.cli.test_cli import error_of, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 16 images with labels that are not ASCII."""
    from PIL import Image

    root = tmp_path_factory.mktemp("data")
    lines = ["image,split,labels"]
    for number in range(16):
        red, blue = number % 2, number // 2 % 2
        Image.new("RGB", (40, 32), (220 * red, 40, 220 * blue)).save(root / f"{number}.png")
        labels = [name for name, there in (("röt", red), ("蓝", blue), ("all", True)) if there]
        split = "train" if number < 12 else "val"
        lines.append(f"{number}.png,{split},{'|'.join(labels)}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "run"
    assert train(data, output, "--epochs", "1", "--backbone", "squeezenet1_1") == 0
    return output


@pytest.mark.parametrize("form", FORMATS)
def test_a_bundle_predicts_as_its_run(
    form: str, run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    capsys.readouterr()
    words = ["export", str(run), "--format", form, "--output", str(bundle), "--threshold", "0.4"]
    assert main(words) == 0
    printed, noise = capsys.readouterr()
    assert not noise
    (line,) = printed.splitlines()
    assert line.startswith(f"{bundle}/model.{form}: ")
    assert "MB, head folded; logits differ from the run's by up to " in line
    images = [str(path) for path in sorted(data.glob("*.png"))[:5]]

    def predictions(folder: Path, *more: str) -> list[dict[str, object]]:
        assert main(["predict", str(folder), *images, "--json", *more]) == 0
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    ours, theirs = predictions(bundle), predictions(run, "--threshold", "0.4")
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-5)
        assert one == other
    assert set(theirs[0]["thresholds"]) == {"röt", "蓝", "all"}
    assert set(predictions(bundle, "--threshold", "0.9")[0]["thresholds"].values()) == {0.9}


def test_without_output_the_bundle_stands_in_the_run_folder(run: Path, capsys) -> None:
    assert main(["export", str(run), "--format", "pt2"]) == 0
    assert (run / "pt2" / "bundle.json").is_file()
    capsys.readouterr()
    assert main(["export", str(run), "--format", "pt2"]) == 2
    assert "not empty" in error_of(capsys)
    assert main(["export", str(run), "--format", "pt2", "--overwrite"]) == 0
    assert not list(run.glob(".*"))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--format", "onnnx"], "'onnx'"),
        (["--formt", "onnx"], "'--format'"),
        (["--threshold", "1.5"], "threshold 1.5"),
        (["--threshold", "high"], "--threshold"),
    ],
)
def test_mistakes(words: list[str], part: str, run: Path, tmp_path: Path, capsys) -> None:
    capsys.readouterr()
    assert main(["export", str(run), "--output", str(tmp_path / "bundle"), *words]) == 2
    assert part in error_of(capsys)
    assert not list(tmp_path.iterdir())


def test_no_run(tmp_path: Path, capsys) -> None:
    assert main(["export", str(tmp_path / "nothing")]) == 2
    assert "there is no run folder" in error_of(capsys)
    assert not list(tmp_path.iterdir())


def test_commands_on_runs_do_not_take_bundles(run: Path, tmp_path: Path, capsys) -> None:
    bundle = tmp_path / "bundle"
    assert main(["export", str(run), "--format", "pt2", "--output", str(bundle)]) == 0
    for command, message in (
        ("evaluate", "is a bundle, which contains no data"),
        ("explain", "is not a run folder"),
    ):
        capsys.readouterr()
        assert main([command, str(bundle)]) == 2
        assert message in error_of(capsys)


def test_help(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", "--help"])
    assert stop.value.code == 0
    assert "--overwrite" in capsys.readouterr().out


def test_small_and_fast_bundles(run: Path, data: Path, tmp_path: Path, capsys) -> None:
    words = ["export", str(run), "--output", str(tmp_path / "int8"), "--preprocess", "--batch", "2"]
    words += ["--quantize", "static", "--calibration-images", str(data), "--max-loss", "100"]
    capsys.readouterr()
    assert main(words) == 0
    printed, noise = capsys.readouterr()
    assert not noise
    _, resizing, loss = printed.splitlines()
    assert "pixel values differ from those of evaluation by up to " in resizing
    assert "after quantization, on 4 images: " in loss
    described = json.loads((tmp_path / "int8" / "bundle.json").read_text(encoding="utf-8"))
    assert described["input"]["shape"] == [2, 3, "height", "width"]
    assert described["precision"] == "int8-static"
    assert main(["predict", str(tmp_path / "int8"), str(data), "--format", "jsonl"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 16
    half = ["export", str(run), "--format", "pt2", "--half", "--output", str(tmp_path / "half")]
    assert main(half) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quantize", "static", "--max-loss", "-101"], "points of mAP"),
        (["--quantize", "static", "--evaluation-split", "test"], "no split 'test'"),
        (["--quantize", "static", "--calibration-images", "no/*.png"], "no file matches"),
        (["--quantize", "int4"], "int4"),
        (["--root", "photos"], "options of data are for --quantize"),
        (["--format", "pt2", "--preprocess"], "preprocess is for format onnx"),
        (["--batch", "0"], "batch=0"),
    ],
)
def test_bundles_that_cannot_be(
    words: list[str], message: str, run: Path, tmp_path: Path, capsys
) -> None:
    capsys.readouterr()
    assert main(["export", str(run), "--output", str(tmp_path / "bundle"), *words]) == 2
    assert message in error_of(capsys)
    assert not (tmp_path / "bundle").exists()
