"""Runs with several tasks: folder, report, comparison, and resuming bit for bit."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch

from gatlabel.engine.module import TrainingModule
from gatlabel.errors import InputError, Interrupted
from gatlabel.model import Model
from gatlabel.multitask import MultiTaskConfig, resume_tasks, train_tasks
from gatlabel.multitask.evaluation import TaskResult, mean_change, relative_change
from gatlabel.training import RunFinishedError
from tests.multitask.tables import TASKS, config, write_table


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("data"))


def cut(options: MultiTaskConfig, step: int) -> None:
    """Trains until the process is sent a signal in the given step."""
    original, calls = TrainingModule.training_step, 0

    def training_step(self, batch, index):
        nonlocal calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, index)

    TrainingModule.training_step = training_step
    try:
        with pytest.raises(Interrupted, match="--resume"):
            train_tasks(options)
    finally:
        TrainingModule.training_step = original


def test_a_run_leaves_a_self_contained_folder_with_a_part_per_task(root, tmp_path) -> None:
    options = config(root, tmp_path / "run", **{"run.compare": "yes", "balancing": "uncertainty"})
    result = train_tasks(options)
    names = {path.name for path in result.folder.iterdir()}
    assert names >= {"config.yaml", "model.json", "model.safetensors", "metrics.csv",
                     "metrics.json", "decisions.json", "report.html", "checkpoints",
                     "compare"}  # fmt: skip
    metrics = json.loads((result.folder / "metrics.json").read_text())
    assert list(metrics["results"]["val"]) == ["things", "kind", "count", "order"]
    assert metrics["results"]["val"]["count"]["images"] == 5  # every third cell is empty
    assert [each["name"] for each in metrics["comparisons"]] == ["single", "equal"]
    single, equal = metrics["comparisons"]
    assert set(single["results"]["val"]) == {"things", "kind", "count", "order"}
    assert single["parameters"] > 1.5 * metrics["parameters"]
    assert equal["parameters"] == metrics["parameters"]
    assert isinstance(single["delta_m"], float)
    assert list(metrics["weights"]) == ["things", "kind", "count", "order"]
    report = (result.folder / "report.html").read_text()
    for part in (
        "decisions-things",
        "task-things",
        "task-count",
        "Did sharing help",
        "one model per task",
        "Δm",
    ):
        assert part in report
    with (result.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"train_loss", "val_score", "val_things_mAP", "val_count_R2"} <= set(rows[0])
    loaded = Model.from_pretrained(result.folder)
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    for name, output in loaded(images).items():
        assert torch.equal(output, result.model.eval()(images)[name])
    with pytest.raises(RunFinishedError):
        resume_tasks(result.folder)


def test_the_best_epoch_over_all_tasks_is_kept_with_tensorboard_logs(root, tmp_path) -> None:
    pytest.importorskip("tensorboard")
    given = {"run.keep": "best", "run.tensorboard": True, "optimizer.lr": 0.05, "run.epochs": 4}
    result = train_tasks(config(root, tmp_path / "run", **given))
    scores = [row["val_score"] for row in result.curves]
    assert scores.index(max(scores)) < 3  # so that the last epoch is another
    tasks, predicted = result.model.tasks, result.results["val"]
    kept = [predicted[name].metrics[tasks[name].score_name] for name in tasks]
    assert sum(kept) / len(kept) == pytest.approx(max(scores), abs=1e-5)
    assert list((result.folder / "tensorboard").glob("events.out.tfevents.*"))


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("equal", "gradvac", "mgda")]


@pytest.mark.parametrize("balancing", ["famo", "dwa", "gradnorm", "uncertainty", "upgrad", *SLOW])
def test_an_interrupted_run_ends_as_an_uninterrupted_one_bit_for_bit(
    balancing: str, root: Path, tmp_path: Path
) -> None:
    if balancing in ("upgrad", "gradvac", "mgda"):
        pytest.importorskip("torchjd")
    given = {"balancing": balancing, "run.epochs": 4, "mixing": "sqrt", "adapter": "adapter"}
    said: list[str] = []
    whole = train_tasks(config(root, tmp_path / "whole", **given), log=said.append)
    assert "mixing=sqrt: nothing is mixed, since there is one data set" in said
    cut(config(root, tmp_path / "cut", **given), 6)  # ends the third epoch in its midst
    folder = tmp_path / "cut"
    assert not (folder / "model.json").exists()
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
    resume_tasks(folder)
    for name in ("model.safetensors", "metrics.csv"):
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    states = [
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["current_model_state"]
        for path in (folder, whole.folder)
    ]
    assert any("balancer" in key for key in states[0]) == (balancing != "equal")
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_a_run_interrupted_while_it_compares_trains_nothing_twice(
    root: Path, tmp_path: Path
) -> None:
    def figures(folder: Path) -> dict:
        found = json.loads((folder / "metrics.json").read_text())
        for each in (found, *found["comparisons"]):
            assert each.pop("seconds") > 0
        return found

    given = {"balancing": "uncertainty", "run.compare": "yes"}
    whole = train_tasks(config(root, tmp_path / "whole", **given))
    cut(
        config(root, tmp_path / "cut", **given), 4 + 2 + 1
    )  # of two epochs: in the second single task
    first = tmp_path / "cut" / "compare" / "single-things.json"
    written = first.read_bytes()
    resume_tasks(tmp_path / "cut")
    assert first.read_bytes() == written
    assert figures(tmp_path / "cut") == figures(whole.folder)


def test_a_run_whose_data_changed_is_not_resumed(tmp_path: Path) -> None:
    root = write_table(tmp_path / "data")
    cut(config(root, tmp_path / "run"), 4)
    table = root / "tasks.csv"
    table.write_text(table.read_text().replace(",many,3,", ",many,2,", 1))
    with pytest.raises(InputError, match="have changed since the run began"):
        resume_tasks(tmp_path / "run")


def test_a_folder_that_is_not_empty_stays_without_overwrite(root: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        train_tasks(config(root, tmp_path / "run"))
    with pytest.raises(InputError, match="does not replace it"):
        train_tasks(config(root, tmp_path / "run", **{"run.overwrite": True}))
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_a_finished_run_is_there_until_the_one_that_replaces_it_is(root, tmp_path) -> None:
    given = {"run.epochs": 2, "run.compare": "yes", "balancing": "uncertainty",
             "tasks": [{"name": "a", "column": "labels", "head": "gat"},
                       {"name": "b", "column": "order"}]}  # fmt: skip
    first = train_tasks(config(root, tmp_path / "run", **given))
    assert (first.folder / "graph-a.json").is_file()
    assert list((first.folder / "compare").glob("*.json"))
    before = (first.folder / "model.safetensors").read_bytes()
    again = config(root, tmp_path / "run", **{"run.overwrite": True})
    cut(again, 4)
    assert (first.folder / "model.safetensors").read_bytes() == before
    assert list(Model.from_pretrained(first.folder).tasks) == ["a", "b"]
    result = resume_tasks(tmp_path / "run")
    assert result.folder == tmp_path / "run"
    assert list(Model.from_pretrained(first.folder).tasks) == ["things", "kind", "count", "order"]
    names = {path.name for path in first.folder.iterdir()}
    assert names == {"config.yaml", "model.json", "model.safetensors", "metrics.csv",
                     "metrics.json", "decisions.json", "report.html", "checkpoints"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("balancing", ["equal", "famo", "upgrad"])
def test_several_processes_train_what_one_trains(balancing: str, root: Path, tmp_path) -> None:
    things = {"name": "things", "column": "labels", "head": {"name": "gat", "hidden": 8},
              "missing": {"unknown": "complete", "mask_labels": 0.4}}  # fmt: skip
    given = {"tasks": [things, *TASKS[1:]], "run.epochs": 4, "run.batch_size": 7,
             "encoder.freeze": "norms", "balancing": balancing}  # fmt: skip
    one = train_tasks(config(root, tmp_path / "one", **given))
    said: list[str] = []
    two = train_tasks(
        config(root, tmp_path / "two", **given, **{"run.devices": 2}), log=said.append
    )
    assert "training in 2 processes on cpu" in said
    found = two.model.state_dict()
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0, msg=name)
    for row, other in zip(one.curves, two.curves, strict=True):
        assert other == pytest.approx(row, abs=1e-5, nan_ok=True)
    for name in ("things", "kind", "count"):  # scores of sequences nearly tie
        result = one.results["val"][name]
        assert two.results["val"][name].metrics == pytest.approx(
            result.metrics, abs=1e-5, nan_ok=True
        )


def test_wrong_data_leave_no_folder(root: Path, tmp_path: Path) -> None:
    tasks = [{"name": "a", "kind": "multiclass", "column": "knid"}]
    with pytest.raises(InputError, match="column 'knid'; did you mean 'kind'"):
        train_tasks(config(root, tmp_path / "run", tasks=tasks))
    assert not (tmp_path / "run").exists()


def test_relative_changes_are_positive_where_better() -> None:
    def result(kind: str, main: str, value: float) -> TaskResult:
        return TaskResult(kind, 1, {main: value}, main)

    ours = {"a": result("multilabel", "mAP", 0.6), "b": result("regression", "RMSE", 1.5)}
    theirs = {"a": result("multilabel", "mAP", 0.5), "b": result("regression", "RMSE", 2.0)}
    assert relative_change(ours["a"], theirs["a"]) == pytest.approx(20)
    assert relative_change(ours["b"], theirs["b"]) == pytest.approx(25)
    assert mean_change({"val": ours}, {"val": theirs}) == pytest.approx(22.5)
    # a task counts on its last split, and only where that is the other model's too
    later = {"val": ours, "test": {"a": result("multilabel", "mAP", 0.55)}}
    assert mean_change(later, {"val": theirs}) == pytest.approx(25)
    test = {"a": result("multilabel", "mAP", 0.5)}
    assert mean_change(later, {"val": theirs, "test": test}) == pytest.approx((10 + 25) / 2)
