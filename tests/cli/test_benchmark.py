"""``gatlabel benchmark``, driven end to end on tiny images."""

import csv
from pathlib import Path

import numpy as np
import pytest

from gatlabel.cli import main
from gatlabel.cli.benchmark import _config, _of_training, benchmark_parser
from gatlabel.cli.parsing import parse
from gatlabel.experiments import BenchmarkResult, benchmark_graphs
from gatlabel.experiments.report import markdown_document
from gatlabel.nn.options import GAT
from gatlabel.training import TrainConfig, mlgcn

ENCODER = ["--backbone", "mobilenet_v3_small", "--weights", "none", "--image-size", "32"]
QUICK = [
    *("--seeds", "1", "--trials", "1", "--workers", "1"),
    *("--heads", "gat:hidden=8", "--graphs", "conditional:top_k=1", "--no-progress"),
]


def benchmark(root: Path, folder: Path, *more: str, kind: str = "graphs") -> int:
    words = ["benchmark", kind, "--data", "csv", "--root", str(root)]
    words += ["--output", str(folder / "out"), "--images.cache-folder", str(folder / "cache")]
    return main([*words, *ENCODER, *QUICK, *more])


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_graphs_from_images_to_report(tiny_csv: Path, tmp_path: Path, capsys) -> None:
    assert benchmark(tiny_csv, tmp_path, "--train-fractions", "0.5,1") == 0
    printed = capsys.readouterr()
    assert "no test split" in printed.err.replace("\n", " ")
    assert "gat · no edges" in printed.out
    assert "report:" in printed.out
    rows = rows_of(tmp_path)
    # three labels with an edge each have no other rewiring: no such control
    assert len(rows) == 2 * 5
    assert {row["fraction"] for row in rows} == {"1", "0.5"}
    result = BenchmarkResult.load(tmp_path / "out")
    assert (tmp_path / "out" / "table.md").read_text() == markdown_document(result)


def test_heads_that_take_pooled_features_and_maps(tiny_csv: Path, tmp_path: Path) -> None:
    assert benchmark(tiny_csv, tmp_path, "--heads", "csra,gat", kind="heads") == 0
    assert {row["head"] for row in rows_of(tmp_path)} == {"linear", "csra", "gat"}
    kinds = {path.name.split("-")[1] for path in (tmp_path / "cache").iterdir()}
    assert kinds == {"pooled", "map"}


def test_end_to_end(tiny_csv: Path, tmp_path: Path) -> None:
    more = ("--mode", "end-to-end", "--epochs", "1", "--batch-size", "8", "--mask-labels", "0.2")
    assert benchmark(tiny_csv, tmp_path, *more) == 0
    rows = rows_of(tmp_path)
    assert len(rows) == 5
    own, cut = ([r for r in rows if r["edges"] == e] for e in ("own", "ablated"))
    assert cut[0]["train_seconds"] == next(r for r in own if r["head"] == "gat")["train_seconds"]
    assert not (tmp_path / "cache").exists()


def test_end_to_end_with_completion_and_its_controls(tiny_csv: Path, tmp_path: Path) -> None:
    more = ("--mode", "end-to-end", "--epochs", "2", "--batch-size", "8", "--mask-labels", "0.5")
    more = (*more, "--unknown", "ignore,complete", "--heads", "linear")
    assert benchmark(tiny_csv, tmp_path, *more) == 0
    found = {(row["unknown"], row["completion"]) for row in rows_of(tmp_path)}
    assert found >= {("ignore", ""), ("complete", "own"), ("complete", "none")}


def test_a_config_file_brings_the_options_of_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("recipe: mlgcn\noptimizer: {lr: 0.05}\n")
    parser = benchmark_parser("graphs")
    options = parse(parser, ["--config", str(tmp_path / "run.yaml"), "--seeds", "2"])
    config = _config("graphs", options)
    usual = {"head": "gat", "graph": "conditional", "optimizer.lr": 0.05}
    assert config.train == mlgcn().with_options(usual)
    assert config.seeds == 2


def test_options_of_a_config_file_that_are_not_used_are_named() -> None:
    assert _of_training(TrainConfig().with_options({"optimizer.lr": 0.1}))[1] == []
    given = TrainConfig().with_options({"head": "gcn", "missing.unknown": "complete"})
    train, (head, unknown) = _of_training(given)
    assert head == "head of the config file is not used here: give --heads"
    assert "--unknown" in unknown
    assert train == TrainConfig()


def test_three_lines_of_python(tiny_csv: Path, tmp_path: Path) -> None:
    result = benchmark_graphs(
        graphs=["complete"],
        heads=GAT(hidden=8),
        seeds=1,
        trials=1,
        workers=1,
        progress=False,
        output=tmp_path / "out",
        **{"log": lambda line: None},
        **{
            "data": "csv",
            "data.root": tiny_csv,
            "encoder.backbone": "mobilenet_v3_small",
            "encoder.weights": "none",
            "images.cache_folder": tmp_path / "cache",
            "images.size": 32,
        },
    )
    assert "gat · complete · edges ablated at test" in result.table()
    assert all(0 < run.values["mAP"] <= 1 for run in result.runs)
    parameters = {run.method.title: run.values["parameters"] for run in result.runs}
    assert parameters["linear"] == 3 * (576 + 1)
    assert np.isfinite([c.difference.value for c in result.comparisons]).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["graps"], "did you mean 'graphs'"),
        (["graphs", "--graphs", "conditionl"], "did you mean 'conditional'"),
        (["graphs", "--graphs", "random"], "is a control"),
        (["heads", "--heads", "gat,gta"], "did you mean 'gat'"),
        (["graphs", "--sedes", "3"], "did you mean '--seeds'"),
        (["graphs", "--seeds", "0"], "seeds=0: must be at least 1"),
        (["graphs", "--trials", "40"], "trials=40: must be at most 27"),
        (["graphs", "--seeds", "many"], "seeds='many': give a whole number"),
        (["graphs", "--train-fractions", "0.5,x"], "'x' is not a number"),
        (["graphs", "--train-fractions", "2"], "at most 1"),
        (["graphs", "--mask-labels", "1"], "below 1, or single"),
        (["graphs", "--unknown", "complet"], "did you mean 'complete'"),
        (["graphs", "--data", "csv"], "data.root: needed"),
        (["graphs", "--graphs", "npmi,npmi"], "without duplicates"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys) -> None:
    assert main(["benchmark", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_help(capsys) -> None:
    assert main(["benchmark"]) == 0
    assert "gatlabel benchmark COMMAND --help" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["benchmark", "heads", "--help"])
    text = capsys.readouterr().out
    assert "--mask-labels" in text
    assert "--backbone" in text
    assert "--run.tensorboard" not in text
