"""A complete benchmark on synthetic features: files, metrics, interruption, resuming."""

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.experiments import BenchmarkResult
from gatlabel.experiments.comparisons import compare
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition, inference_microseconds, parameter_count
from gatlabel.experiments.records import Run
from gatlabel.experiments.report import markdown_document
from gatlabel.experiments.runner import run_on
from gatlabel.experiments.store import Store
from gatlabel.metrics import evaluate_scores
from gatlabel.nn import QueryHead
from gatlabel.nn.options import Linear, Query
from tests.experiments.synthetic import NAMES, QUICK, WIDTH, benchmark, config

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("benchmark")
    task, backend = benchmark(folder / "data")
    options = config(folder / "out")
    return options, task, backend, run_on(options, task, lambda: backend, lambda line: None)


def test_everything_is_written(finished) -> None:
    options, _, _, result = finished
    files = {path.name for path in options.folder.iterdir()}
    assert {"results.csv", "tuning.csv", "table.md", "report.html", "comparisons.json"} <= files
    assert {"environment.json", "protocol.json", "benchmark.json", "targets.npz", "scores"} <= files
    about = json.loads((options.folder / "environment.json").read_text())
    assert about["runs"] == len(result.runs)
    assert about["seconds"] > 0
    with (options.folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    # linear, no edges, conditional with three controls, complete cut: eight, two seeds
    assert len(rows) == 2 * 8 == len(result.runs)
    assert len(list((options.folder / "scores").iterdir())) == len(rows)
    assert not list(options.folder.rglob(".*"))
    content = json.loads((options.folder / "comparisons.json").read_text())
    assert content["verdict"] == result.verdict


def test_figures_follow_from_the_saved_scores(finished) -> None:
    options, _, _, result = finished
    store = Store(options.folder)
    targets, names, counts = store.read_targets()
    assert names == NAMES
    order = np.argsort(-counts, kind="stable")
    for run in result.runs:
        report = evaluate_scores(store.read_scores(run.key), targets, NAMES)
        for name in ("mAP", "CF1", "OF1", "top3_OF1"):
            assert run.values[name] == pytest.approx(report.metrics[name], abs=1e-6)
        rare = report.ap[torch.from_numpy(order[-2:].copy())].mean()
        assert run.values["mAP_tail"] == pytest.approx(float(rare), abs=1e-6)


def test_a_run_can_be_repeated_by_hand(finished) -> None:
    options, _, backend, result = finished
    run = next(r for r in result.runs if r.method == Method("gat", "complete") and r.seed == 1)
    chosen = {
        name: run.values[name] for name in ("lr", "weight_decay", "anchor_strength", "shrinkage")
    }
    outcomes = backend.run(run.method, run.condition, chosen, 1, True)
    store = Store(options.folder)
    for outcome in outcomes:
        saved = store.read_scores((outcome.method, run.condition, 1))
        np.testing.assert_allclose(outcome.logits, saved, atol=1e-6)
    assert [o.method.edges for o in outcomes] == ["own", "ablated"]


def test_the_tuned_options_are_the_best_of_the_tuning_split(finished) -> None:
    options, _, _, result = finished
    with (options.folder / "tuning.csv").open() as file:
        trials = list(csv.DictReader(file))
    for method in {run.method for run in result.runs if run.method.edges != "ablated"}:
        own = [t for t in trials if (t["head"], t["graph"], t["edges"]) == (
            method.head, method.graph, method.edges)]  # fmt: skip
        assert len(own) == 2  # the same budget for all
        best = max(own, key=lambda t: float(t["mAP"]))
        used = {run.values["lr"] for run in result.runs if run.method == method}
        assert used == {float(best["lr"])}


def test_seeds_are_paired(finished) -> None:
    """The linear head and a graph head start from the same classifiers and see the same batches."""
    _, _, backend, _ = finished
    still = dataclasses.replace(backend, fit=dataclasses.replace(QUICK, lr=1e-12))
    logits = [
        still.run(method, Condition(), {}, 5, False)[0].logits
        for method in (Method("linear"), Method("gat", "complete"))
    ]
    np.testing.assert_allclose(*logits, atol=1e-4)


def test_running_again_only_reports(finished) -> None:
    options, task, _, result = finished

    def refuse() -> None:
        raise AssertionError("nothing is left to run")

    again = run_on(dataclasses.replace(options, workers=2), task, refuse, lambda line: None)
    assert again.table() == result.table()


def test_loading_computes_the_same(finished) -> None:
    options, _, _, result = finished
    loaded = BenchmarkResult.load(options.folder)
    assert loaded.comparisons == result.comparisons
    assert markdown_document(loaded) == markdown_document(result)


def test_without_scores_there_is_nothing_to_compute_from(finished, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].folder, copy, ignore=shutil.ignore_patterns("scores"))
    with pytest.raises(InputError, match="no runs with scores"):
        BenchmarkResult.load(copy)


def test_comparisons_are_corrected_over_the_whole_report(finished) -> None:
    _, _, _, result = finished
    tested = [c for c in result.comparisons if c.corrected is not None]
    assert len(tested) == 1 + 5 + 3
    smallest = min(tested, key=lambda c: c.difference.p)
    assert smallest.corrected == pytest.approx(min(1, len(tested) * smallest.difference.p))
    assert all(c.corrected >= c.difference.p for c in tested)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"graphs": ("npmi",)}, r"graphs was \['conditional:top_k=1', 'complete'\], now"),
        ({"trials": 3}, "trials was 2, now 3"),
    ],
)
def test_other_options_are_refused(finished, change, message: str) -> None:
    options, task, backend, _ = finished
    with pytest.raises(InputError, match=message):
        run_on(dataclasses.replace(options, **change), task, lambda: backend, lambda line: None)


def test_other_options_of_training_are_refused(finished) -> None:
    options, task, backend, _ = finished
    other = dataclasses.replace(options, train=options.train.with_options({"images.size": 64}))
    with pytest.raises(InputError, match=r"images\.size was None, now 64"):
        run_on(other, task, lambda: backend, lambda line: None)


def test_other_data_is_refused(finished, tmp_path: Path) -> None:
    options, task, backend, _ = finished
    report = task.roles.report.subset(range(50))
    other = dataclasses.replace(task, roles=dataclasses.replace(task.roles, report=report))
    with pytest.raises(InputError, match="data has changed"):
        run_on(options, other, lambda: backend, lambda line: None)


def test_a_folder_of_other_things_is_left_alone(finished, tmp_path: Path) -> None:
    options, task, backend, _ = finished
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(InputError, match="not of a benchmark"):
        run_on(dataclasses.replace(options, output=tmp_path), task, lambda: backend, print)


def test_more_seeds_add_runs_to_the_old(finished, tmp_path: Path) -> None:
    options, task, backend, _ = finished
    small = dataclasses.replace(options, output=tmp_path / "b", graphs=("complete",), seeds=1)
    first = run_on(small, task, lambda: backend, lambda line: None)
    more = run_on(dataclasses.replace(small, seeds=2), task, lambda: backend, lambda line: None)
    assert len(more.runs) == 2 * len(first.runs)
    kept = [run for run in more.runs if run.seed == 0]
    assert [r.values["train_seconds"] for r in kept] == [
        r.values["train_seconds"] for r in first.runs
    ]


def test_heads_take_their_own_options(tmp_path: Path) -> None:
    task, backend = benchmark(tmp_path / "data")
    query = Query(hidden=8, heads=2, layers=2, self_attention=True)
    options = config(
        tmp_path / "out", kind="heads", heads=("csra:lam=0.0", query), graphs=("complete",),
        trials=1, seeds=1,
    )  # fmt: skip
    heads = {"linear": Linear(), **options.head_options}
    backend = dataclasses.replace(backend, heads=heads)
    result = run_on(options, task, lambda: backend, lambda line: None)
    own = QueryHead(WIDTH, 6, hidden=8, heads=2, layers=2, self_attention=True)
    parameters = {run.method.head: run.values["parameters"] for run in result.runs}
    assert parameters["query"] == parameter_count(own)


def test_an_interruption_before_the_first_run_leaves_a_usable_folder(finished, tmp_path) -> None:
    options, task, _, _ = finished
    folder = tmp_path / "begun"
    folder.mkdir()
    shutil.copy(options.folder / "targets.npz", folder)
    (folder / ".gatlabel-x1.json").write_text("{")
    Store(folder).begin({}, task.roles.report.targets, NAMES, np.ones(len(NAMES), np.int64))
    assert (folder / "benchmark.json").is_file()


def test_options_that_failed_at_once_may_be_mended_in_the_same_folder(tmp_path: Path) -> None:
    task, backend = benchmark(tmp_path / "data")
    wrong = config(tmp_path / "out", train_fractions=(0.001,), graphs=("complete",), trials=1)
    with pytest.raises(InputError, match="too few"):
        run_on(wrong, task, lambda: backend, lambda line: None)
    right = dataclasses.replace(wrong, train_fractions=(1.0,), seeds=1)
    result = run_on(right, task, lambda: backend, lambda line: None)
    assert Store(right.folder).read_config()["train_fractions"] == [1.0]
    assert result.runs


def test_scores_that_were_cut_off_are_named(finished, tmp_path: Path) -> None:
    options, _, _, result = finished
    folder = shutil.copytree(options.folder, tmp_path / "damaged")
    store = Store(folder)
    path = store.scores_path(result.runs[0].key)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"cannot read .*\.npz"):
        BenchmarkResult.load(folder)


def test_a_trial_without_any_positive_can_be_read_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    options = {"lr": 1e-3, "weight_decay": 1.0, "shrinkage": 0.9}
    store.begin({}, np.ones((2, 1), np.float32), ("cat",), np.ones(1, np.int64))
    store.add_trial((Method("linear"), Condition(), 1000), 0, options, float("nan"))
    again = Store(tmp_path)
    again.load()
    assert np.isnan(list(again.trials.values())).tolist() == [True]


class Passing(torch.nn.Module):
    def forward(self, features):
        return features


def test_inference_is_timed_until_a_gpu_is_done(monkeypatch) -> None:
    class OnGpu(list):
        device = torch.device("cuda")

    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    inference_microseconds(Passing(), torch.zeros(4, 2), repeats=3)
    assert not waited
    inference_microseconds(Passing(), OnGpu([1, 2]), repeats=3)
    assert len(waited) == 6  # before and after each


def test_a_third_is_a_third_when_read_again(tmp_path: Path) -> None:
    method, condition = Method("linear"), Condition(1 / 3, 0.1)
    store = Store(tmp_path)
    store.begin({}, np.eye(2, dtype=np.float32), ("a", "b"), np.ones(2, dtype=np.int64))
    store.add_run(Run(method, condition, 0, {"mAP": 1 / 3}), np.eye(2, dtype=np.float32))
    again = Store(tmp_path)
    again.load()
    assert again.runs[method, condition, 0].values["mAP"] == pytest.approx(1 / 3)
    assert rows_of(store.results)[0]["masked"] == "0.1"


def test_fractions_and_a_cut_tuning_split(tmp_path: Path) -> None:
    task, backend = benchmark(tmp_path / "data", tune=False)
    options = config(
        tmp_path / "out", graphs=("conditional",), train_fractions=(0.4, 1.0), trials=1, seeds=1
    )
    result = run_on(options, task, lambda: backend, lambda line: None)
    assert [s.fraction for s in result.conditions] == [1.0, 0.4]
    assert "With 40% of the images" in " ".join(result.verdict)
    assert "Curves" in (options.folder / "report.html").read_text()
    value = backend.tune(Method("linear"), Condition(0.4), {}, 1000)
    assert 0 < value <= 1
    assert value != backend.tune(Method("linear"), Condition(0.4), {}, 1001)


def test_heads_that_take_maps(tmp_path: Path) -> None:
    task, backend = benchmark(tmp_path / "data")
    options = config(
        tmp_path / "out", kind="heads", heads=("csra", "conditioned"), graphs=("conditional",),
        trials=1, seeds=1,
    )  # fmt: skip
    result = run_on(options, task, lambda: backend, lambda line: None)
    heads = {run.method.head for run in result.runs}
    assert heads == {"linear", "csra", "conditioned"}


def test_an_identical_method_is_no_different() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 3)) < 0.5).astype(np.float32)
    scores = rng.normal(size=(40, 3)).astype(np.float32)
    both = [Method("linear"), Method("csra")]
    found = compare(both, [Condition()], [0, 1], targets, lambda *key: scores)
    assert [(c.difference.value, c.corrected, c.better) for c in found] == [(0, 1, False)]


SCRIPT = """
import signal, sys, torch
from pathlib import Path
# a shell that runs the tests in the background has this signal ignored, children included
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
from tests.experiments.synthetic import benchmark, config
from gatlabel.experiments.report import markdown_document
from gatlabel.experiments.runner import run_on
folder = Path(sys.argv[1])
task, backend = benchmark(folder / "data")
options = config(folder / "out", workers=int(sys.argv[2]), seeds=int(sys.argv[3]), trials=1)
run_on(options, task, lambda: backend, lambda line: None)
"""


def start(folder: Path, workers: int, seeds: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", SCRIPT, str(folder), str(workers), str(seeds)]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_benchmark_continues(how: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, workers=1, seeds=200)
    results = tmp_path / "out" / "results.csv"
    until = time.monotonic() + 60
    while len(rows_of(results)) < 8 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(how)
    try:
        process.wait(30)
    finally:
        process.kill()
        process.communicate()
    done = rows_of(results)
    assert 8 <= len(done) < 200 * 8
    assert all(len(row) == len(done[0]) and None not in row.values() for row in done)
    task, backend = benchmark(tmp_path / "data")
    seeds = max(int(row["seed"]) for row in done) + 1
    options = config(tmp_path / "out", seeds=seeds, trials=1)
    result = run_on(options, task, lambda: backend, lambda line: None)
    assert len(result.runs) == seeds * 8
    kept = {run.key: run.values["train_seconds"] for run in result.runs}
    store = Store(tmp_path / "out")
    store.load()
    assert sum(
        value in kept.values() for value in (float(r["train_seconds"]) for r in done)
    ) == len(done)


@pytest.mark.slow
def test_processes_do_the_same(finished, tmp_path: Path) -> None:
    process = start(tmp_path, workers=2, seeds=2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    one = config(tmp_path / "one", seeds=2, trials=1)
    task, backend = benchmark(tmp_path / "data")
    result = run_on(one, task, lambda: backend, lambda line: None)
    both = [Store(tmp_path / name) for name in ("one", "out")]
    for run in result.runs:
        ours, theirs = (store.read_scores(run.key) for store in both)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_hidden_labels_and_their_treatments(tmp_path: Path) -> None:
    task, backend = benchmark(tmp_path / "data")
    options = config(
        tmp_path / "out", heads=("linear",), graphs=("conditional:top_k=2",), seeds=1, trials=1,
        mask_labels=(0.5, "single"), unknown=("ignore", "negative", "prior", "complete"),
    )  # fmt: skip
    result = run_on(options, task, lambda: backend, lambda line: None)
    assert [method.title for method in result.methods] == [
        "linear",
        "linear · unknown: negative",
        "linear · unknown: prior",
        "linear · conditional:top_k=2 · unknown: complete",
        "linear · conditional:top_k=2 · unknown: complete · completed with no edges",
        "linear · conditional:top_k=2 · unknown: complete · completed with random edges",
    ]
    half = Condition(1.0, 0.5)
    scores = [Store(options.folder).read_scores((method, half, 0)) for method in result.methods]
    assert len({array.tobytes() for array in scores}) == len(scores)
    text = " ".join(result.verdict)
    assert "With 50% of the targets masked" in text
    assert "With one known label per image" in text
    against = {c.against for c in result.comparisons}
    assert against >= {"ignore", "completion with random edges", "completion without edges"}
