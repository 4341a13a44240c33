"""``gatlabel decide``, and every command that follows what it chose."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel import MultiLabelClassifier, Predictor
from gatlabel.cli import main
from gatlabel.decisions import Decision, decision_of
from gatlabel.inference import predict_logits
from gatlabel.training.data import read_data
from gatlabel.training.finished_runs import open_run
from tests.cli.test_cli import error_of, train
from tests.colours import write_colours


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("decide")
    assert train(write_colours(place / "data"), place / "run") == 0
    return place / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def decision(run: Path) -> Decision:
    return decision_of(run, MultiLabelClassifier.from_pretrained(run).labels)


def metrics(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


def test_training_chooses_on_validation_images(run: Path) -> None:
    chosen = decision(run)
    assert (chosen.aim, chosen.per_label, chosen.split) == ("macro-f1", True, "val")
    content = metrics(run)
    assert content["decision"] == chosen.to_dict()
    assert "chosen on: val" in content["protocol"]["decision"]
    labels = content["splits"]["val"]["labels"]
    assert {"ap", "auroc", "precision", "recall", "f1"} <= set(labels[0])
    assert content["splits"]["val"]["metrics"]["decision_macro_F1"] is not None
    assert 'id="decisions"' in (run / "report.html").read_text()


def test_all_commands_follow_a_decision(run: Path, tiny_csv: Path, capsys) -> None:
    before = metrics(run)
    words = ("--aim", "miss-rate=0.3", "--calibrate", "temperature", "--split", "validation")
    assert main(["decide", str(run), *words]) == 0
    printed = capsys.readouterr().out
    assert "miss-rate=0.3" in printed
    assert "conformal" in printed
    chosen = decision(run)
    assert chosen.calibrate == "temperature"
    after = metrics(run)
    assert after["decision"] == chosen.to_dict()
    assert after["training_seconds"] == before["training_seconds"]
    ap = [content["splits"]["val"]["metrics"]["mAP"] for content in (before, after)]
    assert ap[0] == pytest.approx(ap[1], abs=1e-6)
    report = (run / "report.html").read_text()
    assert "miss-rate=0.3" in report
    assert "before calibration" in report

    model, config = open_run(run)
    source = read_data(config).val
    logits = predict_logits(model, source).numpy()
    expected = chosen.present(logits)

    images = [str(source.path(k)) for k in range(len(source))]  # type: ignore[attr-defined]
    assert main(["predict", str(run), *images, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    for row, present, p in zip(rows, expected, chosen.probabilities(logits), strict=True):
        names = {n for n, is_in in zip(model.labels, present, strict=True) if is_in}
        assert set(row["labels"]) == names
        np.testing.assert_allclose(list(row["probabilities"].values()), p, atol=1e-5)
        assert row["thresholds"] == dict(chosen.thresholds)

    assert main(["evaluate", str(run), "--split", "val", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decision"] == chosen.to_dict()
    targets = source.targets.to_dense().numpy()
    missed = ((targets == 1) & ~expected).sum(1) / np.maximum((targets == 1).sum(1), 1)
    assert found["metrics"]["decision_miss_rate"] == pytest.approx(missed.mean())

    own = Predictor.load(run, threshold=0.9)
    assert set(own.thresholds) == {0.9}
    assert own.decision.scaling == chosen.scaling


@pytest.mark.parametrize("form", [pytest.param("onnx", marks=pytest.mark.slow), "pt2"])
def test_bundles_carry_the_decision_and_are_evaluated(
    run: Path, tiny_csv: Path, form: str, capsys
) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    assert main(["decide", str(run), "--calibrate", "vector", "--global"]) == 0
    chosen, bundle = decision(run), run / form
    assert main(["export", str(run), "--format", form]) == 0
    content = json.loads((bundle / "bundle.json").read_text())
    assert content["thresholds"] == dict(chosen.thresholds)
    assert content["calibration"]["method"] == "vector"
    assert content["decision"]["chosen_on"] == {"split": "val", "images": chosen.images}
    assert "weight * logit + bias" in content["output"]["probability"]
    assert Predictor.load(bundle).decision == chosen
    if form == "onnx":
        import onnx

        inside = {p.key: p.value for p in onnx.load(bundle / "model.onnx").metadata_props}
        assert json.loads(inside["thresholds"]) == dict(chosen.thresholds)
        assert json.loads(inside["calibration"]) == content["calibration"]
    capsys.readouterr()
    words = ["--split", "val", "--json"]
    assert main(["evaluate", str(bundle), "--data", "csv", "--root", str(tiny_csv), *words]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(run), *words]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert theirs["decision"] == ours["decision"]
    for name, value in ours["metrics"].items():
        assert theirs["metrics"][name] == pytest.approx(value, abs=1e-4), name

    assert main(["export", str(run), "--format", form, "--threshold", "0.7", "--overwrite"]) == 0
    again = Predictor.load(bundle).decision
    assert set(again.thresholds.values()) == {0.7}
    assert again.scaling == chosen.scaling
    assert main(["decide", str(run)]) == 0
    assert f"{bundle} still has the decision" in capsys.readouterr().err
    assert main(["evaluate", str(bundle)]) == 2
    assert "which contains no data" in error_of(capsys)


def test_out_of_fold_predictions_choose_where_they_are_kept(
    tiny_csv: Path, tmp_path: Path, capsys
) -> None:
    run = tmp_path / "folds"
    assert train(tiny_csv, run, "--folds", "2", "--epochs", "1") == 0
    kept = decision(run)
    images = len(np.load(run / "out_of_fold.npz")["ids"])
    assert (kept.split, kept.images) == ("out-of-fold", images)
    # a guarantee is about the model itself, not about those of the folds
    assert main(["decide", str(run), "--aim", "miss-rate=0.5"]) == 0
    assert decision(run).split == "val"
    assert main(["decide", str(run), "--split", "out-of-fold"]) == 0
    assert decision(run) == kept


def test_a_run_of_before_decides_at_one_half(run: Path, tiny_csv: Path, capsys) -> None:
    (run / "decisions.json").unlink()
    assert set(Predictor.load(run).thresholds) == {0.5}
    assert main(["evaluate", str(run), "--split", "val", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert found["decision_OF1"] == pytest.approx(found["OF1"])


def test_without_positives_thresholds_stay(tmp_path: Path, tiny_csv: Path, capsys) -> None:
    root = Path(shutil.copytree(tiny_csv, tmp_path / "emptied"))
    table = root / "labels.csv"
    lines = table.read_text().splitlines()
    place = lines[0].split(",").index("labels")
    for k, line in enumerate(lines):
        cells = line.split(",")
        if "val" in cells:
            cells[place] = ""
            lines[k] = ",".join(cells)
    table.write_text("\n".join(lines) + "\n")
    run = tmp_path / "run"
    assert train(root, run, "--epochs", "1") == 0
    assert "thresholds stay 0.5" in capsys.readouterr().err
    assert set(decision(run).thresholds.values()) == {0.5}
    before = (run / "decisions.json").read_text()
    assert main(["decide", str(run)]) == 2
    assert "no label is known to be present" in error_of(capsys)
    assert (run / "decisions.json").read_text() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--aim", "f2"), "unknown aim 'f2'"),
        (("--per-label", "--global"), "give only one of them"),
        (("--confidence", "0.9"), "confidence is for"),
        (("--split", "train"), "was trained on are too high"),
        (("--split", "vall"), "give one of validation, test, out-of-fold"),
        (("--split", "out-of-fold"), "has no out-of-fold predictions"),
        (("--calibrate", "platt"), "none or temperature or vector"),
        (("--rows", "0"), "must be at least 1"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(run: Path, words, message, capsys) -> None:
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert main(["decide", str(run), *words]) == 2
    assert message in error_of(capsys)
    assert before == {path: path.read_bytes() for path in run.iterdir() if path.is_file()}


@pytest.mark.parametrize("command", ["predict", "evaluate", "export"])
def test_a_decision_of_another_model_is_refused(
    run: Path, command: str, tiny_csv: Path, capsys
) -> None:
    content = json.loads((run / "decisions.json").read_text())
    content["thresholds"] = {"cat": 0.5}
    (run / "decisions.json").write_text(json.dumps(content))
    image = [str(next((tiny_csv / "images").glob("*.png")))] if command == "predict" else []
    assert main([command, str(run), *image]) == 2
    line = error_of(capsys)
    assert "decisions.json" in line
    assert "gatlabel decide" in line


def test_the_aim_of_training_is_an_option(tiny_csv: Path, tmp_path: Path) -> None:
    words = ("--decision.aim", "recall=0.9", "--decision.per-label", "false", "--epochs", "1")
    assert train(tiny_csv, tmp_path / "run", *words) == 0
    chosen = decision(tmp_path / "run")
    assert (chosen.aim, chosen.per_label) == ("recall=0.9", False)
    assert torch.tensor(chosen.limits).unique().numel() == 1
