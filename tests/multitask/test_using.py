"""What can be done with a run of several tasks: answers, metrics, and refusals in one line."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from gatlabel import Predictor
from gatlabel.cli import main
from gatlabel.data.decoding import decode_image
from gatlabel.deploy import TaskPrediction, TaskPredictor
from gatlabel.errors import InputError
from gatlabel.multitask import evaluate_run, train_tasks
from tests.multitask.tables import config, write_table


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    root = write_table(tmp_path_factory.mktemp("data"))
    given = {"optimizer.lr": 1e-2, "encoder.freeze": "norms", "run.epochs": 3}
    return train_tasks(config(root, root / "run", **given)).folder


@pytest.fixture(scope="module")
def image(run: Path) -> Path:
    return run.parent / "images" / "5.png"


def test_a_predictor_answers_every_task(run: Path, image: Path) -> None:
    predictor = Predictor.load(run, workers=0)
    assert isinstance(predictor, TaskPredictor)
    prediction = predictor(image)
    assert isinstance(prediction, TaskPrediction)
    model = predictor.model
    pixels = model.preprocessing.transform()(decode_image(image))
    with torch.inference_mode():
        outputs = model(pixels[None])
    chances = outputs["things"].sigmoid()[0].tolist()
    found = prediction.to_dict()
    assert list(found) == ["source", "things", "kind", "count", "order"]
    assert list(found["things"]["probabilities"].values()) == pytest.approx(chances, abs=1e-6)
    limits = json.loads((run / "decisions.json").read_text())["tasks"]["things"]["thresholds"]
    present = {n for n, p in found["things"]["probabilities"].items() if p >= limits[n]}
    assert set(found["things"]["labels"]) == present
    assert found["kind"]["class"] == ["few", "many"][int(outputs["kind"].argmax())]
    assert sum(found["kind"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    task = model.tasks["count"]
    value = float(outputs["count"][0, 0]) * task.scale[0] + task.offset[0]
    assert found["count"]["values"]["count"] == pytest.approx(value, abs=1e-5)
    assert found["order"]["score"] <= 0
    assert len(set(found["order"]["sequence"])) == len(found["order"]["sequence"])
    assert json.loads(json.dumps(found)) == found


def test_answers_do_not_depend_on_batches(run: Path, image: Path) -> None:
    paths = [image.parent / f"{k}.png" for k in range(5)]
    single = [Predictor.load(run, workers=0)(path) for path in paths]
    for one, other in zip(single, Predictor.load(run, batch_size=2)(paths), strict=True):
        assert one.source == other.source
        for label, chance in one.answers["things"]["probabilities"].items():
            assert other.answers["things"]["probabilities"][label] == pytest.approx(
                chance, abs=1e-5
            )


def test_an_unreadable_image_becomes_a_record_with_an_error(run: Path, image: Path) -> None:
    predictor = Predictor.load(run)
    good, bad = predictor([image, "nowhere.png"], on_error="skip")
    assert good.ok
    assert bad.to_dict() == {"source": "nowhere.png", "error": bad.error}
    with pytest.raises(InputError, match=r"nowhere\.png"):
        predictor("nowhere.png")
    pixels = predictor(Image.open(image))
    assert pixels.answers == predictor(image).answers


def test_predict_writes_a_field_or_column_per_task(run: Path, image: Path, capsys) -> None:
    assert main(["predict", str(run), str(image), "--format", "jsonl"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert set(json.loads(line)) == {"source", "things", "kind", "count", "order"}
    assert main(["predict", str(run), str(image), "nowhere.png", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == ["source", "things", "kind", "count", "order", "error"]
    assert rows[0]["kind"] in ("few", "many")
    assert float(rows[0]["count"]) == pytest.approx(
        json.loads(line)["count"]["values"]["count"], 1e-4
    )
    assert "nowhere.png" in rows[1]["error"]
    assert main(["predict", str(run), str(image), "--format", "table"]) == 0
    assert "kind: " in capsys.readouterr().out


def test_evaluate_gives_the_metrics_of_every_task(run: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate", str(run), "--json", "--output", str(tmp_path / "e.json")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "e.json").read_text())
    written = json.loads((run / "metrics.json").read_text())["results"]["val"]
    for name, result in written.items():
        for metric, value in result["metrics"].items():
            assert found["results"]["val"][name]["metrics"][metric] == pytest.approx(
                value, abs=1e-6
            )
    assert main(["evaluate", str(run)]) == 0
    assert "RMSE" in capsys.readouterr().out


def test_metrics_are_those_of_the_labelled_images(run: Path) -> None:
    ((split, results),) = evaluate_run(run).items()
    with (run.parent / "tasks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    mine = [row for row in rows if row["split"] == split and row["count"]]
    predictor = Predictor.load(run)
    answers = predictor([run.parent / row["image"] for row in mine])
    values = torch.tensor([each.answers["count"]["values"]["count"] for each in answers])
    true = torch.tensor([float(row["count"]) for row in mine])
    assert results["count"].images == len(mine)
    assert results["count"].metrics["RMSE"] == pytest.approx(
        float((values - true).square().mean().sqrt()), abs=1e-5
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["decide", "RUN", "--task", "kind"], "task 'kind': calibrate=none: a multi-class"),
        (["decide", "RUN", "--split", "out-of-fold"], "unknown split 'out-of-fold'"),
        (["explain", "RUN", "IMAGE"], "give --task"),
        (["predict", "RUN", "IMAGE", "--threshold", "0.5"], "threshold is not for them"),
        (["evaluate", "RUN", "--split", "tset"], "no split 'tset'"),
        (["evaluate", "RUN", "--data", "csv", "--root", "x"], "is evaluated on its own data"),
    ],
)
def test_what_does_not_work_is_refused_in_one_line(
    words: list[str], message: str, run: Path, image: Path, capsys
) -> None:
    names = {"RUN": str(run), "IMAGE": str(image)}
    assert main([names.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]
