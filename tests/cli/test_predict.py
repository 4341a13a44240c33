"""``gatlabel predict``: formats, sources, exit codes, interruption."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatlabel.cli import main
from gatlabel.csv_files import unguarded
from gatlabel.deploy import Predictor
from gatlabel.model import MultiLabelClassifier

LABELS = ["cat", "dog", "error", "=sum()"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = MultiLabelClassifier.create("squeezenet1_1", "linear", labels=LABELS, image_size=32)
    folder = tmp_path_factory.mktemp("run")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos with a long name " + "x" * 120)
    rng = np.random.default_rng(0)
    for k in range(7):
        pixels = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def out_of(capsys, *words: object, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["predict", *map(str, words)]) == code
    return capsys.readouterr().out


def test_formats_agree_with_the_predictor(run: Path, photos: Path, tmp_path: Path, capsys) -> None:
    expected = list(Predictor.load(run).stream(str(photos)))
    assert sum(not each.ok for each in expected) == 1
    records = [each.to_dict() for each in expected]
    lines = out_of(capsys, run, photos, "--format", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == records
    assert json.loads(out_of(capsys, run, photos, "--json")) == records
    table = out_of(capsys, run, photos, "--format", "table").splitlines()
    assert len(table) == 8
    for line, each in zip(table, expected, strict=True):
        assert line.startswith(each.source)  # whole, however long
        assert ("error: " in line) == (not each.ok)
    piped = out_of(capsys, run, photos)
    rows = list(csv.DictReader(io.StringIO(piped)))
    assert piped == out_of(capsys, run, photos, "--format", "csv")
    for row, each in zip(rows, expected, strict=True):
        assert row["source"] == each.source
        assert unguarded(row["labels"]) == "|".join(each.labels)
        assert row["error"] == (each.error or "")
        columns = ["cat", "dog", "error (label)", "'=sum()"]
        for column, (_, value) in zip(columns, each.probabilities.items(), strict=False):
            assert float(row[column]) == pytest.approx(value, rel=1e-5)
    out = tmp_path / "out.csv"
    assert out_of(capsys, run, photos, "-o", out) == ""
    assert out.read_text(encoding="utf-8") == piped
    assert out_of(capsys, run, photos, "-o", "-") == piped


def test_paths_from_standard_input(run: Path, photos: Path, capsys, monkeypatch) -> None:
    given = [photos / "3.png", photos / "0.png", photos / "*[12].png"]
    text = "\n".join(map(str, given)) + "\n\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = json.loads(out_of(capsys, run, "-", "--json"))
    assert [Path(each["source"]).name for each in found] == ["3.png", "0.png", "1.png", "2.png"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert json.loads(out_of(capsys, run, "-", "--json")) == []
    monkeypatch.setattr("sys.stdin", None)
    assert main(["predict", str(run), "-"]) == 2


def test_exit_codes(run: Path, photos: Path, tmp_path: Path, capsys) -> None:
    bad, good = photos / "broken.png", photos / "0.png"
    assert "broken.png" in out_of(capsys, run, bad, good)
    assert main(["predict", str(run), str(bad), str(good), "--strict"]) == 2
    assert "1 of 2 images could not be read; the first: " in capsys.readouterr().err
    assert main(["predict", str(run), str(bad), str(tmp_path / "gone.png")]) == 2
    captured = capsys.readouterr()
    assert "none of the 2 images could be read; the first: " in captured.err
    assert "gone.png" in captured.out
    assert main(["predict", str(run), str(good), str(bad), "--on-error", "stop"]) == 2
    assert "broken.png" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(run), str(tmp_path / "empty")]) == 2
    assert "has no images" in capsys.readouterr().err


def test_progress_is_written_to_standard_error(
    run: Path, photos: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("gatlabel.cli.predict_progress._EVERY_LINE", 0.0)
    assert main(["predict", str(run), str(photos), "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 8
    assert "1 image in " in captured.err
    assert "8 images in " in captured.err
    assert "1 could not be read" in captured.err
    assert main(["predict", str(run), str(photos), "--no-progress"]) == 0
    assert capsys.readouterr().err == ""


def test_explanations_in_json(run: Path, photos: Path, capsys) -> None:
    words = (run, photos / "0.png", "--explain", "2")
    (found,) = json.loads(out_of(capsys, *words, "--json"))
    assert len(found["explanation"]) == 2
    assert np.array(found["explanation"][0]["heat"]).ndim == 2
    assert main(["predict", *map(str, words)]) == 2
    assert "--explain needs --format jsonl or json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--format", "xml"], "xml"),
        (["--json", "--format", "csv"], "contradict"),
        (["--workers", "-1"], "workers=-1"),
        (["--batch-size", "0"], "batch_size=0"),
        (["--output", "."], "it is a folder"),
    ],
)
def test_mistakes(words: list[str], part: str, run: Path, photos: Path, capsys) -> None:
    assert main(["predict", str(run), str(photos), *words]) == 2
    assert part in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_interrupted_output_is_whole_lines(
    kind: str, run: Path, photos: Path, tmp_path: Path
) -> None:
    code = "import sys; from gatlabel.cli import main; sys.exit(main())"
    paths = "\n".join([str(photos / "0.png")] * 100_000)
    words = [sys.executable, "-c", code, "predict", str(run), "-", "--format", kind]
    out = tmp_path / "out"
    (tmp_path / "list").write_text(paths)
    with (tmp_path / "list").open() as given, out.open("wb") as file:
        process = subprocess.Popen(words, stdin=given, stdout=file, stderr=subprocess.PIPE)
        for _ in range(600):
            if out.stat().st_size > 50_000:
                break
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        error = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, error
    text = out.read_text()
    assert text.endswith("\n")
    if kind == "json":
        assert len(json.loads(text)) > 10
    elif kind == "jsonl":
        assert all(json.loads(line)["labels"] is not None for line in text.splitlines())
    else:
        assert len({len(row) for row in csv.reader(io.StringIO(text))}) == 1
