"""The decision of each multi-label task: chosen on its validation images, and followed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score, log_loss

from gatlabel import Predictor
from gatlabel.cli import main
from gatlabel.decisions import choose_decision, fit_temperature
from gatlabel.decisions.options import DecisionOptions
from gatlabel.errors import InputError
from gatlabel.inference import whole_images
from gatlabel.model import Model
from gatlabel.multitask import decide_tasks, evaluate_run, train_tasks
from gatlabel.multitask.evaluation import predict_split
from gatlabel.multitask.parts import read_parts
from gatlabel.multitask.saved_runs import open_tasks
from tests.multitask.tables import config, write_table

TASKS = [
    {"name": "things", "column": "labels", "decision": {"aim": "micro-f1"}},
    {"name": "again", "column": "order",
     "decision": {"aim": "macro-f1", "calibrate": "temperature"}},
    {"name": "kind", "kind": "multiclass", "column": "kind"},
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    root = write_table(tmp_path_factory.mktemp("data"))
    given = {"tasks": TASKS, "optimizer.lr": 1e-2, "encoder.freeze": "norms"}
    return train_tasks(config(root, root / "run", **given)).folder


def logits_of(run: Path) -> tuple[Model, dict, dict]:
    model, options = open_tasks(run)
    outputs, targets = predict_split(model, options, read_parts(options), "val")
    rows = {name: (own != -1).any(1) for name, own in targets.items() if own.ndim > 1}
    return (
        model,
        {name: outputs[name][known] for name, known in rows.items()},
        {name: targets[name][known] for name, known in rows.items()},
    )


def test_each_task_has_the_decision_of_one_task_alone_on_its_labelled_images(run: Path) -> None:
    model, outputs, targets = logits_of(run)
    written = json.loads((run / "decisions.json").read_text())["tasks"]
    assert list(written) == ["things", "again"]
    for task in TASKS[:2]:
        name = task["name"]
        options = DecisionOptions(**task["decision"])
        labels = model.tasks[name].labels
        alone = choose_decision(outputs[name], targets[name], labels, options, split="val")
        assert written[name] == alone.to_dict()
        assert model.tasks[name].decision == alone
    assert len(outputs["things"]) < len(outputs["again"])


def test_predict_evaluate_and_report_follow_it(run: Path) -> None:
    model, outputs, targets = logits_of(run)
    results = evaluate_run(run)["val"]
    for name in ("things", "again"):
        decision, known = model.tasks[name].decision, targets[name]
        chosen = decision.present(outputs[name].numpy())
        micro = f1_score(known.numpy(), chosen, average="micro", zero_division=0)
        assert results[name].metrics["decision_OF1"] == pytest.approx(micro)
        assert any(str(decision.aim) in line for line in results[name].protocol)
    prediction = Predictor.load(run)(run.parent / "images" / "20.png")
    for name in ("things", "again"):
        answer, limits = prediction.answers[name], model.tasks[name].decision.thresholds
        found = {n for n, p in answer["probabilities"].items() if p >= limits[n]}
        assert set(answer["labels"]) == found
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    raw = model(pixels)["again"]
    (scale, _), *_ = model.tasks["again"].decision.scaling.values()
    assert torch.allclose(model.tasks["again"].activation(raw), (scale * raw).sigmoid(), atol=1e-6)
    report = (run / "report.html").read_text()
    assert 'id="decisions-things"' in report
    assert "temperature: one scale for all labels" in report


def test_a_decision_is_saved_with_a_model(run: Path, tmp_path: Path) -> None:
    model, _ = open_tasks(run)
    model.save_pretrained(tmp_path / "copy")
    copied = Model.from_pretrained(tmp_path / "copy")
    assert copied.decisions == model.decisions
    path = tmp_path / "copy" / "decisions.json"
    content = json.loads(path.read_text())
    content["tasks"].pop("again")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"decisions\.json is damaged.*things, again"):
        Model.from_pretrained(tmp_path / "copy")
    path.unlink()
    assert set(
        Model.from_pretrained(tmp_path / "copy").decisions["things"].thresholds.values()
    ) == {0.5}


def test_decide_chooses_again_for_one_task_or_all(run: Path, tmp_path: Path, capsys) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    before = json.loads((run / "metrics.json").read_text())
    assert main(["decide", str(run), "--task", "things", "--aim", "fixed=0.25", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["tasks"]) == ["things"]
    model, _ = open_tasks(run)
    assert set(model.tasks["things"].decision.thresholds.values()) == {0.25}
    assert model.tasks["again"].decision.aim == "macro-f1"
    after = json.loads((run / "metrics.json").read_text())
    assert after["seconds"] == before["seconds"]
    assert after["results"]["val"]["again"] == before["results"]["val"]["again"]
    assert "fixed=0.25" in " ".join(after["results"]["val"]["things"]["protocol"])
    assert "a fixed threshold of 0.25" in (run / "report.html").read_text()
    assert main(["decide", str(run), "--aim", "macro-f1"]) == 0
    assert "decision of again" in capsys.readouterr().out
    chosen, _ = decide_tasks(run, DecisionOptions(aim="recall=0.9"))
    assert [each.aim for each in chosen.values()] == ["recall=0.9"] * 2
    with pytest.raises(InputError, match="task 'kind': calibrate=none: a multi-class task has"):
        decide_tasks(run, task="kind")
    with pytest.raises(InputError, match="unknown multi-label or multi-class task 'thing'"):
        decide_tasks(run, task="thing")


def test_a_class_is_calibrated_on_request(run: Path, tmp_path: Path, capsys) -> None:
    image = run.parent / "images" / "20.png"
    run = Path(shutil.copytree(run, tmp_path / "run"))
    model, options = open_tasks(run)
    outputs, targets = predict_split(model, options, read_parts(options), "val")
    known = targets["kind"] != -1
    logits, classes = outputs["kind"][known], targets["kind"][known]
    before = Predictor.load(run)(image).answers["kind"]
    words = ["decide", str(run), "--task", "kind", "--calibrate"]
    assert main([*words, "vector"]) == 2
    assert "calibrate=vector: a multi-class task has" in capsys.readouterr().err
    assert main([*words, "temperature", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    best = fit_temperature(logits, classes)
    assert found["tasks"]["kind"]["calibration"]["temperature"] == pytest.approx(best)
    loss = log_loss(classes.numpy(), (logits.double() / best).softmax(1).numpy(), labels=[0, 1])
    assert found["splits"]["val"]["kind"]["metrics"]["log_loss"] == pytest.approx(loss, rel=1e-5)
    after = Predictor.load(run)(image).answers["kind"]
    assert after["class"] == before["class"]
    expected = np.log(list(before["probabilities"].values())) / best
    expected = np.exp(expected) / np.exp(expected).sum()
    assert list(after["probabilities"].values()) == pytest.approx(expected, rel=1e-4)
    copied = open_tasks(run)[0]
    copied.save_pretrained(tmp_path / "copy")
    assert Model.from_pretrained(tmp_path / "copy").decisions == copied.decisions
    assert list(copied.decisions) == ["things", "again", "kind"]
    report = (run / "report.html").read_text()
    assert 'id="decisions-kind"' in report
    assert "all logits divided by" in report
    assert main(["decide", str(run), "--calibrate", "temperature"]) == 0
    assert "decision of kind" in capsys.readouterr().out


def test_where_validation_cannot_choose_thresholds_stay(tmp_path: Path) -> None:
    root = write_table(tmp_path)
    lines = (root / "tasks.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[2] = "|" if row[1] == "val" else row[2]
    (root / "tasks.csv").write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    said: list[str] = []
    tasks = [{"name": "things", "column": "labels"}]
    result = train_tasks(config(root, root / "run", tasks=tasks), log=said.append)
    limits = list(result.model.tasks["things"].decision.thresholds.values())
    assert np.unique(limits).tolist() == [0.5]
    assert any("things: no label is known to be present" in line for line in said)


def test_images_are_those_of_prediction_whatever_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large images are reduced in the cache: decisions need the pixels that prediction sees."""
    root = write_table(tmp_path)
    generator = np.random.default_rng(5)
    for path in sorted((root / "images").glob("*.png")):
        Image.fromarray(generator.integers(0, 256, (180, 240, 3), np.uint8)).save(path)
    given = {"tasks": TASKS, "images.cache": "memory", "run.epochs": 1}
    model, options = open_tasks(train_tasks(config(root, root / "run", **given)).folder)
    parts, seen, outputs = read_parts(options), [], model.outputs
    monkeypatch.setattr(model, "outputs", lambda inputs: seen.append(inputs) or outputs(inputs))
    predict_split(model, options, parts, "val")
    expected = torch.cat(
        [batch.inputs["image"] for batch in whole_images(model, parts[0].splits.val)]
    )
    images = torch.cat([own["image"] for own in seen])
    assert torch.equal(images, expected)
