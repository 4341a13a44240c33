"""The command line, driven end to end on tiny data."""

import csv
import json
from pathlib import Path

import pytest
import torch

from gatlabel import MultiLabelClassifier
from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.training.recipes import read_config
from gatlabel.training.run_folder import RunFolder

QUICK = [
    *("--backbone", "mobilenet_v3_small", "--weights", "none", "--image-size", "32"),
    *("--epochs", "2", "--batch-size", "8", "--no-progress"),
]


def train(root: Path, output: Path, *more: str) -> int:
    words = ["train", "--recipe", "plain", "--data", "csv", "--root", str(root)]
    words += ["--output", str(output)]
    small = [] if "--head" in more else ["--head.hidden", "16"]
    return main([*words, *QUICK, *small, *more])


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    message = capsys.readouterr().err
    assert "Traceback" not in message
    line = [part for part in message.splitlines() if part.startswith("gatlabel: ")]
    assert len(line) == 1, message
    return line[0]


@pytest.fixture
def run(tiny_csv: Path, tmp_path: Path) -> Path:
    assert train(tiny_csv, tmp_path / "run") == 0
    return tmp_path / "run"


def test_a_run_folder_is_self_contained(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {path.name for path in run.iterdir()}
    expected = {"config.yaml", "labels.json", "counts.json", "graph.json", "model.safetensors"}
    assert expected | {"metrics.csv", "metrics.json", "report.html", "checkpoints"} <= files
    assert json.loads((run / "labels.json").read_text()) == ["blue", "green", "red"]
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"train_loss", "val_loss", "val_mAP", "lr"} <= set(rows[0])
    metrics = json.loads((run / "metrics.json").read_text())
    last = float(rows[-1]["val_mAP"])
    assert metrics["splits"]["val"]["metrics"]["mAP"] == pytest.approx(last, abs=1e-3)
    assert "uninterpolated" in metrics["protocol"]["AP"]
    assert not list(run.rglob(".*"))


def test_a_run_with_similarity_of_names(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    """Names of labels are all it takes, and the run keeps what its edges say."""
    run = tmp_path / "alike"
    words = ("--graph", "knn:vectors=names", "--head.node-features", "names")
    assert train(tiny_csv, run, *words) == 0
    assert json.loads((run / "graph.json").read_text())["relation"] == "similarity"
    head = MultiLabelClassifier.from_pretrained(run).head
    assert head.similarity_weight == 0.5
    assert head.mixing_matrix() is not None
    weight = head.fold().weight
    assert not torch.allclose(head.without_edges().fold().weight, weight)
    assert main(["evaluate", str(run)]) == 0
    image = next((tiny_csv / "images").glob("*.png"))
    assert main(["predict", str(run), str(image), "--json"]) == 0
    capsys.readouterr()
    assert main(["graph", "show", str(run)]) == 0
    assert "similarity" in capsys.readouterr().out
    built = tmp_path / "graph.json"
    words = ["graph", "build", str(run), str(built), "--graph", "knn:vectors=names"]
    assert main(words) == 0
    assert (
        json.loads(built.read_text())["edges"]
        == json.loads((run / "graph.json").read_text())["edges"]
    )


def test_a_graph_file_of_similarity(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    edges = tmp_path / "alike.csv"
    edges.write_text("red,green\ngreen,red\n")
    run = tmp_path / "run"
    assert train(tiny_csv, run, "--graph", f"{edges}:relation=similarity") == 0
    assert MultiLabelClassifier.from_pretrained(run).head.similarity_weight == 0.5
    capsys.readouterr()
    wrong = ("--graph", "conditional:relation=similarity")
    assert train(tiny_csv, tmp_path / "other", *wrong) == 2
    assert "option of the graph variant conditional 'relation'" in error_of(capsys)
    wrong = ("--graph", f"{run / 'graph.json'}:relation=cooccurrence")
    assert train(tiny_csv, tmp_path / "other", *wrong) == 2
    assert "stores its relation" in error_of(capsys)
    assert train(tiny_csv, tmp_path / "other", "--head.similarity-weight", "1.5") == 2
    assert "similarity_weight=1.5" in error_of(capsys)


def test_the_saved_config_reproduces_the_run(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    words = ["train", "--config", str(run / "config.yaml"), "--output", str(again)]
    assert main(words) == 0
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (run, again))
    assert ours["splits"] == theirs["splits"]


def test_evaluate_repeats_the_figures_of_the_run(run: Path, capsys) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    saved = json.loads((run / "metrics.json").read_text())["splits"]["val"]
    assert printed["metrics"]["mAP"] == pytest.approx(saved["metrics"]["mAP"], abs=1e-6)


def test_evaluate_on_other_data(run: Path, tiny_csv: Path, tmp_path: Path, capsys) -> None:
    other = tiny_csv / "other.csv"
    other.write_text("image,labels\nimages/1.png,red\nimages/2.png,blue|red\n")
    output = tmp_path / "figures.json"
    words = ["evaluate", str(run), "--data.annotations", "other.csv", "--output", str(output)]
    assert main(words) == 0
    result = json.loads(output.read_text())
    assert result["split"] == "test"
    assert result["left_out"] == ["green"]


def test_evaluate_names_labels_missing_in_the_model(run: Path, tiny_csv: Path, capsys) -> None:
    (tiny_csv / "other.csv").write_text("image,labels\nimages/1.png,red|okapi\n")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data.annotations", "other.csv"]) == 2
    assert "'okapi'" in error_of(capsys)


def test_init_trains_longer_and_resume_does_not(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    first, longer = tmp_path / "first", tmp_path / "longer"
    assert train(tiny_csv, first, "--epochs", "1") == 0
    capsys.readouterr()
    assert main(["train", "--resume", str(first), "--epochs", "4"]) == 2
    assert "accepts only --images.cache" in error_of(capsys)
    assert train(tiny_csv, longer, "--epochs", "2", "--init", str(first)) == 0
    assert "all 3 labels" in capsys.readouterr().err
    assert len((longer / "metrics.csv").read_text().splitlines()) == 3


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Lets training end in the epoch after this one, which is given up."""
    written = RunFolder.write_curves

    def stop(self: RunFolder, rows: list[dict[str, float]]) -> None:
        if len(rows) == after + 2:
            raise InputError("interrupted")
        written(self, rows)

    monkeypatch.setattr(RunFolder, "write_curves", stop)


def test_resume_continues_where_training_stopped(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train(tiny_csv, whole, "--epochs", "4", "--optimizer.schedule", "constant") == 0
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        assert train(tiny_csv, cut, "--epochs", "4", "--optimizer.schedule", "constant") == 2
    assert main(["train", "--resume", str(cut)]) == 0
    curves = [(folder / "metrics.csv").read_text().splitlines() for folder in (whole, cut)]
    assert len(curves[0]) == len(curves[1]) == 5
    figures = [
        json.loads((folder / "metrics.json").read_text())["splits"] for folder in (whole, cut)
    ]
    assert figures[0] == figures[1]


def test_resume_of_a_finished_run_keeps_its_weights(run: Path) -> None:
    from safetensors.torch import load_file

    before = load_file(run / "model.safetensors")
    (run / "metrics.json").unlink()  # as if the run had died in its evaluation
    assert main(["train", "--resume", str(run)]) == 0
    after = load_file(run / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (run / "metrics.json").is_file()


def test_resume_refuses_data_whose_labels_changed(run: Path, tiny_csv: Path, capsys) -> None:
    (tiny_csv / "classes.txt").write_text("red\ngreen\nblue\n")
    (run / "report.html").unlink()  # as if the run had died before it
    capsys.readouterr()
    assert main(["train", "--resume", str(run)]) == 2
    assert "labels.json" in error_of(capsys)


def test_trains_in_mixed_precision(tiny_csv: Path, tmp_path: Path) -> None:
    assert train(tiny_csv, tmp_path / "run", "--run.amp", "on", "--epochs", "1") == 0


def test_evaluate_keeps_the_splits_of_the_run_unless_the_data_is_other(
    tiny_csv: Path, tmp_path: Path, capsys
) -> None:
    table = (tiny_csv / "labels.csv").read_text().replace(",train,", ",,").replace(",val,", ",,")
    (tiny_csv / "labels.csv").write_text(table.replace(",,", ",").replace("split,", ""))
    assert train(tiny_csv, tmp_path / "run", "--epochs", "1") == 0
    for more in (["--data.on-error", "skip"], ["--data", "csv"], ["--data.separator=|"]):
        capsys.readouterr()
        assert main(["evaluate", str(tmp_path / "run"), "--json", *more]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert sum(row["known"] for row in figures["labels"]) < 24 * 3 / 2


def test_predict_prints_json(run: Path, tiny_csv: Path, capsys) -> None:
    capsys.readouterr()
    images = [str(tiny_csv / "images" / f"{k}.png") for k in range(3)]
    assert main(["predict", str(run), *images, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["source"] for item in found] == images
    assert set(found[0]["probabilities"]) == {"red", "green", "blue"}


def test_graph_build_show_compare(run: Path, tmp_path: Path, capsys) -> None:
    counts = str(run / "counts.json")
    built = tmp_path / "npmi.json"
    assert main(["graph", "build", counts, str(built), "--graph", "npmi"]) == 0
    assert json.loads(built.read_text())
    image = tmp_path / "graph.png"
    assert main(["graph", "show", str(built), "--draw", str(image)]) == 0
    assert image.read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    assert main(["graph", "show", str(built), "--edges", "0"]) == 2
    assert "--edges 0: must be at least 1" in error_of(capsys)
    assert main(["graph", "compare", counts]) == 0
    printed = capsys.readouterr().out
    for variant in ("npmi", "conditional", "mlgcn_code", "random", "complete"):
        assert variant in printed


@pytest.mark.parametrize("head", ["linear", "gcn", "gatv2"])
def test_every_head_trains(head: str, tiny_csv: Path, tmp_path: Path) -> None:
    assert train(tiny_csv, tmp_path / "run", "--head", head) == 0


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["query", "--head.layers", "2", "--head.self-attention"], {"layers": 2}),
        (["csra", "--head.heads", "2", "--head.lam", "0.3"], {"lam": 0.3}),
    ],
)
def test_options_of_a_head_reach_the_model(words, options, tiny_csv: Path, tmp_path: Path) -> None:
    assert train(tiny_csv, tmp_path / "run", "--head", *words, "--epochs", "1") == 0
    head = MultiLabelClassifier.from_pretrained(tmp_path / "run").head
    assert options.items() <= head.config.items()
    assert head.config.get("self_attention", True) is True
    repeated = read_config(tmp_path / "run" / "config.yaml")
    assert repeated == RunFolder(tmp_path / "run").read_config()
    assert options.items() <= repeated.head.arguments().items()


def test_frozen_best_asl_sgd_step(tiny_csv: Path, tmp_path: Path) -> None:
    more = ["--freeze", "encoder", "--keep", "best", "--loss", "asl", "--optimizer", "sgd"]
    assert (
        train(
            tiny_csv, tmp_path / "run", *more, "--optimizer.schedule", "step", "--run.patience", "3"
        )
        == 0
    )


class TestMistakes:
    """One clear line, exit code 2, and nothing written."""

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            (["--bacbone", "resnet18"], "'--backbone'"),
            (["--epochs", "many"], "run.epochs='many'"),
            (["--epochs", "-1"], "epochs=-1"),
            (["--head", "gta"], "unknown head 'gta'"),
            (["--graph", "conditionl"], "'conditional'"),
            (["--graph", "missing.json"], "missing.json"),
            (["--graph", "npmi:given=source"], "given"),
            (["--backbone", "resnet19"], "'resnet18'"),
            (["--data.label-column", "lables"], "'labels'"),
            (["--data.image-column", "photo"], "photo"),
            (["--recipe", "aslr"], "'asl'"),
            (["--config", "nowhere.yaml"], "nowhere.yaml"),
            (["--head.node-features", "nowhere.npz"], "nowhere.npz"),
            (["--head.lam", "0.3"], "lam=0.3: not for head=gat, only for csra"),
            (["--head", "gcn", "--head.layers", "3"], "only for gat, gatv2, query"),
        ],
    )
    def test_options(self, words, part, tiny_csv: Path, tmp_path: Path, capsys) -> None:
        assert train(tiny_csv, tmp_path / "run", *words) == 2
        assert part in error_of(capsys)
        assert not (tmp_path / "run").exists()

    def test_missing_image(self, tiny_csv: Path, tmp_path: Path, capsys) -> None:
        (tiny_csv / "images" / "3.png").unlink()
        assert train(tiny_csv, tmp_path / "run") == 2
        assert "3.png" in error_of(capsys)
        assert not (tmp_path / "run").exists()

    def test_corrupt_image_stops_or_is_left_out(self, tiny_csv: Path, tmp_path, capsys) -> None:
        path = tiny_csv / "images" / "3.png"
        path.write_bytes(path.read_bytes()[:60])
        assert train(tiny_csv, tmp_path / "run") == 2
        assert "3.png" in error_of(capsys)
        assert not (tmp_path / "run").exists()
        assert train(tiny_csv, tmp_path / "run", "--data.on-error", "skip") == 0
        notes = json.loads((tmp_path / "run" / "metrics.json").read_text())["notes"]
        assert any("3.png" in note for note in notes)

    def test_empty_split(self, tiny_csv: Path, tmp_path: Path, capsys) -> None:
        table = (tiny_csv / "labels.csv").read_text().replace(",train,", ",val,")
        (tiny_csv / "labels.csv").write_text(table)
        assert train(tiny_csv, tmp_path / "run") == 2
        assert "train" in error_of(capsys)
        assert not (tmp_path / "run").exists()

    def test_occupied_run_folder(self, run: Path, tiny_csv: Path, capsys) -> None:
        before = (run / "metrics.json").read_bytes()
        capsys.readouterr()
        assert train(tiny_csv, run) == 2
        assert "not empty" in error_of(capsys)
        assert (run / "metrics.json").read_bytes() == before
        assert train(tiny_csv, run, "--overwrite") == 0

    def test_output_below_a_file(self, tiny_csv: Path, tmp_path: Path, capsys) -> None:
        (tmp_path / "file.txt").write_text("taken")
        assert train(tiny_csv, tmp_path / "file.txt" / "run") == 2
        assert "file.txt" in error_of(capsys)

    def test_resume_of_no_run(self, tmp_path: Path, capsys) -> None:
        assert main(["train", "--resume", str(tmp_path)]) == 2
        assert "is not a run folder" in error_of(capsys)

    @pytest.mark.parametrize("command", ["evaluate", "explain"])
    def test_a_run_that_is_not_there(self, command: str, tmp_path: Path, capsys) -> None:
        assert main([command, str(tmp_path / "no")]) == 2
        assert f"there is no run folder {tmp_path / 'no'}" in error_of(capsys)

    @pytest.mark.parametrize("word", ["trian", "--frobnicate"])
    def test_unknown_command(self, word: str, capsys) -> None:
        assert main([word]) == 2
        assert word in error_of(capsys)

    def test_predict_names_a_bad_image(self, run: Path, tmp_path: Path, capsys) -> None:
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"no image")
        capsys.readouterr()
        assert main(["predict", str(run), str(bad)]) == 2
        assert "bad.jpg" in error_of(capsys)


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "graph"])
def test_help(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert "--" in capsys.readouterr().out


def test_explain_shows_contributions_of_edges(run: Path, tmp_path: Path, capsys) -> None:
    files = ["--output", str(tmp_path / "edges.csv"), "--draw", str(tmp_path / "edges.png")]
    assert main(["explain", str(run), *files]) == 0
    assert "red" in capsys.readouterr().out
    with (tmp_path / "edges.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6  # three labels that all occur together
    assert all(float(row["contribution_before"]) == 0 for row in rows)
    assert any(float(row["contribution"]) > 0 for row in rows)
    assert (tmp_path / "edges.png").is_file()
    assert main(["explain", str(run), "--label", "redd"]) == 2
    assert "'red'" in error_of(capsys)
    assert main(["explain", str(run), "--rows", "-3"]) == 2
    assert "--rows -3: must be at least 1" in error_of(capsys)


def test_explain_shows_all_in_edges_of_a_label_before_others(
    tiny_csv: Path, tmp_path: Path, capsys
) -> None:
    edges = tmp_path / "edges.csv"
    edges.write_text("red,green,0.7\nblue,green,0.6\ngreen,red,0.1\n")
    run, rows = tmp_path / "run", tmp_path / "rows.csv"
    assert train(tiny_csv, run, "--graph", str(edges), "--epochs", "1") == 0

    def explained(*words: str) -> tuple[set[tuple[str, str]], str]:
        capsys.readouterr()
        assert main(["explain", str(run), "--output", str(rows), *words]) == 0
        with rows.open() as file:
            found = {(row["source"], row["target"]) for row in csv.DictReader(file)}
        return found, capsys.readouterr().out

    found, printed = explained("--edges", "2")
    assert found == {("red", "green"), ("blue", "green")}
    assert "2 of 3 edges: the heaviest; --edges 3 explains all" in printed
    found, printed = explained("--edges", "2", "--label", "red")
    assert found == {("green", "red"), ("red", "green")}
    assert "0.100" in printed
    assert "2 of 3 edges: those into 'red', then the heaviest" in printed
    found, printed = explained("--edges", "1", "--label", "green")
    assert found == {("red", "green")}
    assert "1 of 3 edges: the heaviest into 'green'" in printed
    found, printed = explained("--edges", "3", "--label", "blue")
    assert len(found) == 3
    assert "'blue' has no incoming edge" in printed
    assert "of 3 edges" not in printed


def test_explain_an_image(run: Path, tiny_csv: Path, tmp_path: Path, capsys) -> None:
    image, out = str(tiny_csv / "images" / "0.png"), tmp_path / "out.png"
    capsys.readouterr()
    assert main(["explain", str(run), image, "-o", str(out), "--top", "2"]) == 0
    assert "contributions of neighbours" in capsys.readouterr().out
    assert out.read_bytes()[:4] == b"\x89PNG"
    words = ["--label", "red", "--label", "blue", "--output", str(tmp_path / "out.json")]
    assert main(["explain", str(run), image, *words]) == 0
    found = json.loads((tmp_path / "out.json").read_text())["labels"]
    assert {each["label"] for each in found} == {"red", "blue"}
    assert all(len(each["neighbours"]) == 2 for each in found)
    capsys.readouterr()
    for wrong, part in (
        (["--label", "redd"], "'red'"),
        (["-o", str(tmp_path / "out.bmp")], "out.bmp"),
        (["--top", "0"], "--top 0"),
    ):
        assert main(["explain", str(run), image, *wrong]) == 2
        assert part in error_of(capsys)
    assert main(["explain", str(run), str(tmp_path / "gone.png")]) == 2
    assert "gone.png" in error_of(capsys)


def test_explain_needs_a_graph(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    assert train(tiny_csv, tmp_path / "run", "--head", "linear") == 0
    capsys.readouterr()
    assert main(["explain", str(tmp_path / "run")]) == 2
    assert "no label graph" in error_of(capsys)
