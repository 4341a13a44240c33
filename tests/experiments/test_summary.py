"""Several benchmarks in one report: corrected together, holes shown, mistakes named."""

import csv
import dataclasses
import json
import math
import shlex
import shutil
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.cli.benchmark import _config, benchmark_parser
from gatlabel.cli.parsing import parse
from gatlabel.errors import InputError
from gatlabel.experiments import BenchmarkResult, make_config, write_report
from gatlabel.experiments.comparison_tables import comparison_rows
from gatlabel.experiments.comparisons import LINEAR, NO_EDGES, RANDOM
from gatlabel.experiments.finished import command_of
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.report import markdown_document, render
from gatlabel.experiments.result import corrected_together
from gatlabel.experiments.runner import run_on
from gatlabel.experiments.statistics import Difference, holm
from gatlabel.experiments.store import Store
from gatlabel.experiments.tables import methods_of
from gatlabel.experiments.verdict import verdict
from gatlabel.nn.options import GAT
from tests.experiments.synthetic import benchmark, config
from tests.experiments.test_report import Checker, comparison

GRAPH = "conditional:top_k=1"
OWN, BARE = Method("gat", "npmi"), Method("gat", edges="none")
ALL = Condition()


def run(folder: Path, name: str, **options) -> Path:
    task, backend = benchmark(folder.parent / f"{folder.name}-data")
    task = dataclasses.replace(task, name=name)
    given = {"graphs": (GRAPH,), "trials": 1, **options}
    run_on(config(folder, **given), task, lambda: backend, lambda line: None)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("summary")
    return [
        run(root / "photos", "photos", train_fractions=(1.0, 0.5)),
        run(root / "scenes", "scenes <voc>", kind="heads", heads=("gcn", "linear")),
    ]


@pytest.fixture(scope="module")
def summary(folders) -> BenchmarkResult:
    return BenchmarkResult.load(folders)


def everything(summary: BenchmarkResult) -> list:
    return summary.comparisons


def test_all_folders_are_corrected_together(folders, summary) -> None:
    tested = [c for c in everything(summary) if c.corrected is not None]
    # by condition: no edges to linear, own edges to linear, no, random, permuted, cut
    assert len(tested) == 3 * 6
    assert [c.corrected for c in tested] == holm([c.difference.p for c in tested])
    alone = [c for f in folders for c in BenchmarkResult.load(f).comparisons]
    assert max(
        ours.corrected - own.corrected
        for ours, own in zip(everything(summary), alone, strict=True)
        if own.corrected is not None
    ) > 0  # fmt: skip


def test_methods_by_data_set(summary) -> None:
    parts = summary.table().split("\n\n")
    titles = [part.rstrip(":") for part in parts[::2]]
    names = ["mAP", "Δ linear", "Δ no edges", "Δ random edges"]
    assert titles == [*names, *(f"{name}, 50% of the images" for name in names)]
    scores = cells(parts[1])
    assert scores[0] == ["method", "photos", "scenes <voc>"]
    rows = {row[0]: row[1:] for row in scores[2:]}
    assert "–" not in rows["linear"]
    assert rows[f"gat · {GRAPH}"][1] == rows[f"gcn · {GRAPH} · random edges"][0] == "–"
    assert "±" in rows[f"gat · {GRAPH}"][0]
    assert "[" in {row[0]: row[2] for row in cells(parts[3])[2:]}[f"gcn · {GRAPH}"]
    assert cells(parts[9])[0] == ["method", "photos"]  # the other has no such setting


def cells(table: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_three_files(folders, summary, tmp_path: Path) -> None:
    write_report(summary, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.html", "table.md", "comparisons.json", "comparisons.csv"}  # fmt: skip
    assert (tmp_path / "out" / "table.md").read_text() == markdown_document(summary)
    with (tmp_path / "out" / "comparisons.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    every = everything(summary)
    assert len(rows) == len(every)
    for row, c in zip(rows, every, strict=True):
        d = c.difference
        written = [float(row[name]) for name in ("points", "low", "high", "p")]
        assert written == pytest.approx([100 * d.value, 100 * d.low, 100 * d.high, d.p], rel=1e-4)
        assert (row["corrected"] == "") == (c.corrected is None)
    assert {(row["data_set"], row["folder"], row["fraction"]) for row in rows} == {
        ("photos", str(folders[0]), "1"), ("photos", str(folders[0]), "0.5"),
        ("scenes <voc>", str(folders[1]), "1"),
    }  # fmt: skip


def test_the_page_is_whole_and_draws_every_test(summary) -> None:
    html = render(summary)
    page = Checker()
    page.feed(html)
    page.close()
    assert page.open == []
    assert page.fetched == []
    words = " ".join(page.words)
    assert summary.verdict[0] in words
    assert "scenes <voc>" in words
    # to linear two a setting, to no edges and to random edges one
    assert html.count('class="interval') == 3 * 4


def test_too_few_positives_leave_a_dash(summary) -> None:
    nothing = Difference(math.nan, None, None, None)
    holed = {
        name: dataclasses.replace(result, comparisons=[
            dataclasses.replace(c, difference=nothing) if c.ours.head == "gcn" else c
            for c in result.comparisons
        ])
        for name, result in summary.data_sets.items()
    }  # fmt: skip
    found = BenchmarkResult(corrected_together(holed))
    tested = [c for c in everything(found) if c.corrected is not None]
    assert len(tested) == 2 * 6  # what cannot be tested is not counted either
    assert all(c.ours.head == "gat" for c in tested)
    assert "nan" not in markdown_document(found) + render(found)
    assert f"| gcn · {GRAPH}  " in found.table()
    assert "Too few positives for some intervals: scenes <voc>." in found.verdict[0]
    empty = [row for row in comparison_rows(found.data_sets) if row["ours"].startswith("gcn")]
    assert {row["points"] + row["p"] for row in empty} == {""}


def test_the_same_data_stays_apart_by_folder(folders, tmp_path: Path) -> None:
    other = shutil.copytree(folders[0], tmp_path / "other")
    found = BenchmarkResult.load([folders[0], other])
    assert list(found.data_sets) == ["photos · photos", "photos · other"]
    assert found.verdict[0].startswith("Over 2 benchmarks: ")
    same = shutil.copytree(folders[0], tmp_path / "photos")
    names = list(BenchmarkResult.load([folders[0], same]).data_sets)
    assert names == [f"photos · {folders[0]}", f"photos · {same}"]


def test_folders_that_are_none(folders, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(InputError, match="is not the folder of a benchmark"):
            BenchmarkResult.load([folders[0], wrong])
    with pytest.raises(InputError, match="is given twice"):
        BenchmarkResult.load([folders[0], folders[0].parent / "." / "scenes" / ".." / "photos"])
    with pytest.raises(InputError, match="at least one folder"):
        BenchmarkResult.load([])
    bare = shutil.copytree(folders[0], tmp_path / "bare", ignore=shutil.ignore_patterns("scores"))
    with pytest.raises(InputError, match=r"bare has no runs with scores"):
        BenchmarkResult.load([bare])


def test_an_unfinished_benchmark_is_named_with_the_command(folders, tmp_path: Path) -> None:
    folder = shutil.copytree(folders[0], tmp_path / "photos")
    store = Store(folder)
    store.load()
    for key in [key for key in store.runs if key[1] == Condition(0.5)]:  # a whole setting
        store.scores_path(key).unlink()
    with pytest.raises(InputError, match=r"12 of 24 runs are missing; continue with: gatl") as e:
        BenchmarkResult.load([folder])
    assert "--train-fractions 1.0,0.5 --trials 1" in str(e.value)
    (folder / "protocol.json").unlink()
    with pytest.raises(InputError, match=r"not finished: continue with: gatlabel benchmark graphs"):
        BenchmarkResult.load([folder])


def test_all_requested_seeds_are_awaited(folders, tmp_path: Path) -> None:
    folder = shutil.copytree(folders[1], tmp_path / "scenes")
    about = json.loads((folder / "protocol.json").read_text())
    assert about["seeds"] == 2
    (folder / "protocol.json").write_text(json.dumps({**about, "seeds": 4}))
    with pytest.raises(InputError, match=r"12 of 24 runs are missing.*--seeds 4"):
        BenchmarkResult.load([folder])
    # fewer than there are: those of the last report
    (folder / "protocol.json").write_text(json.dumps({**about, "seeds": 1}))
    assert len(BenchmarkResult.load(folder).runs) == 6


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("graphs", {}),
        ("heads", {
            "heads": (GAT(hidden=64, heads=2), "csra:lam=0.3"), "mask_labels": (0.0, "single"),
            "mode": "end-to-end",
        }),
        ("graphs", {
            "data": "coco", "data.root": Path("my images"), "data.fractions": (0.5, 0.25, 0.25),
            "data.drop_empty": True, "encoder.backbone": "resnet18", "images.size": 96,
            "unknown": ("complete",), "missing.similarity_weight": 0.3, "trials": 3,
            "graphs": ("npmi:top_k=3,threshold=0.1", "lift"),
            "mode": "end-to-end", "optimizer.schedule": "step", "optimizer": "sgd",
        }),
    ],
)  # fmt: skip
def test_the_command_has_the_options_it_was_begun_with(kind, options) -> None:
    fixed = json.loads(json.dumps(make_config(kind, **options).fixed()))
    words = shlex.split(command_of(fixed, Path("runs/a b"), 5))
    assert words[:3] == ["gatlabel", "benchmark", kind]
    parser = benchmark_parser(kind)
    again = _config(kind, parse(parser, words[3:]))
    assert json.loads(json.dumps(again.fixed())) == fixed
    assert (again.folder, again.seeds) == (Path("runs/a b"), 5)


def said(**data_sets) -> str:
    compared = {name: list(comparisons) for name, comparisons in data_sets.items()}
    return " ".join(verdict({**compared, "not compared": []}, [ALL]))


def test_the_verdict_counts_data_sets() -> None:
    better = (comparison(OWN, NO_EDGES, 0.02), comparison(OWN, RANDOM, 0.01))
    bare_only = (comparison(OWN, NO_EDGES, 0.02), comparison(OWN, RANDOM, 0.0, 1.0))
    worse = (comparison(OWN, NO_EDGES, -0.02), comparison(OWN, RANDOM, 0.0, 1.0))
    linear = (comparison(OWN, LINEAR, 0.03), comparison(OWN, LINEAR, -0.03))
    text = said(a=(*better, linear[0]), b=bare_only, c=(*worse, linear[1]))
    assert text == (
        "Over 3 data sets: a graph is better than no edges on 2 of 3 (a, b); than random edges of "
        "the same degrees on 1 of 3 (a); than both, so that its edges matter, on 1 of 3 "
        "(a: gat · npmi). It is worse than no edges on 1 of 3 (c). A head on a graph is better "
        "than the linear head on 1 of 2 (a); worse on 1 of 2 (c)."
    )
    text = said(a=bare_only)
    assert "than random edges of the same degrees on none; than both on none" in text


def test_the_verdict_where_nothing_helps() -> None:
    nothing = (
        comparison(OWN, NO_EDGES, 0.0, 1.0),
        comparison(OWN, LINEAR, 0.0, 1.0),
        comparison(BARE, LINEAR, 0.03),
        comparison(Method("csra"), LINEAR, 0.02),
    )
    assert said(a=nothing) == (
        "Over 1 data set: no graph is better than no edges. No head on a graph is better than the "
        "linear head. A head without a graph is better than the linear head on 1 "
        "of 1 (a)."
    )


def test_the_verdict_on_completion() -> None:
    method = Method("linear", "npmi", unknown="complete", completion="own")
    tested = [comparison(method, "ignore", 0.02),
              comparison(method, "completion without edges", 0, 1.0),
              comparison(method, "completion with random edges", 0, 1.0)]  # fmt: skip
    assert said(a=tested) == (
        "Over 1 data set: a head with unknown: complete is better than ignore on 1 of 1 (a). No "
        "head with unknown: complete is better or worse than completion without edges or "
        "completion with random edges."
    )


def test_heads_stay_together(summary) -> None:
    heads = [method.head for method in methods_of(summary.data_sets)]
    assert heads == ["linear"] + ["gat"] * 5 + ["gcn"] * 5


def test_the_command(folders, tmp_path: Path, capsys) -> None:
    words = ["benchmark", "summary", *map(str, folders), "--no-progress"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Over 2 data sets: " in printed
    assert "permuted labels" not in printed  # the page has the controls
    assert (tmp_path / "out" / "report.html").is_file()
    (tmp_path / "file").write_text("")
    for wrong, message in (
        ([*words, "--output", str(tmp_path / "file")], "is not a folder: give another"),
        ([*words, "--output", str(folders[0])], "contains the runs of a benchmark"),
        (["benchmark", "summary"], "required: FOLDER"),
        (["benchmark", "summry"], "did you mean 'summary'"),
        (["benchmark", "summary", str(tmp_path)], "is not the folder of a benchmark"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
