"""Options of several tasks: from words to YAML to Python and back, and nonsense refused."""

import inspect
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from gatlabel.cli import main
from gatlabel.data.mixing import MIXINGS
from gatlabel.engine.balancing import BALANCERS
from gatlabel.errors import InputError
from gatlabel.model.sharing import ADAPTERS
from gatlabel.multitask import MultiTaskConfig, TaskOptions
from gatlabel.multitask.config import read_tasks_config
from gatlabel.tasks import TASKS
from tests.multitask.tables import config

WORDS = ["--data", "csv", "--root", "photos", "--backbone", "resnet18", "--epochs", "3"]
SIMPLE = ["things=labels:labels", "kind=class:kind", "size=number:width,height", "o=sequence:order"]


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [
        (MultiTaskConfig, "balancing", BALANCERS),
        (MultiTaskConfig, "mixing", MIXINGS),
        (MultiTaskConfig, "adapter", ADAPTERS),
        (TaskOptions, "kind", TASKS),
    ],
)
def test_every_name_is_an_option(kind, name, known) -> None:
    assert set(get_args(get_type_hints(kind)[name])) == set(known)


def test_from_words_to_yaml_to_python_and_back(tmp_path: Path, capsys) -> None:
    words = [*WORDS, "--balancing", "famo", "--mixing", "sqrt", "--adapter", "cross_stitch"]
    for task in SIMPLE:
        words += ["--task", task]
    assert main(["train", *words, "--print-config"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "a.yaml").write_text(text)
    found = read_tasks_config(tmp_path / "a.yaml")
    assert [(t.name, t.kind, t.column) for t in found.tasks] == [
        ("things", "multilabel", ("labels",)),
        ("kind", "multiclass", ("kind",)),
        ("size", "regression", ("width", "height")),
        ("o", "sequence", ("order",)),
    ]
    by_hand = MultiTaskConfig(
        data={"name": "csv", "root": "photos"},
        encoder={"backbone": "resnet18"},
        run={"epochs": 3},
        tasks=[
            {"name": "things", "kind": "multilabel", "column": "labels"},
            TaskOptions(name="kind", kind="multiclass", column="kind"),
            TaskOptions(name="size", kind="regression", column=("width", "height")),
            {"name": "o", "kind": "sequence", "column": ["order"]},
        ],
        balancing="famo",
        mixing="sqrt",
        adapter="cross_stitch",
    )
    assert found == by_hand
    assert found.to_yaml() == text
    assert main(["train", "--config", str(tmp_path / "a.yaml"), "--print-config"]) == 0
    assert capsys.readouterr().out == text


def test_a_task_has_head_loss_graph_and_data_of_its_own(tmp_path: Path) -> None:
    written = {
        "tasks": [
            {"name": "a", "head": {"name": "gat", "hidden": 8}, "graph": "npmi:top_k=2",
             "loss": {"name": "focal", "gamma": 3}, "data": {"name": "voc", "root": "voc"}},
            {"name": "b", "kind": "regression", "column": "n", "loss": "huber",
             "data": {"name": "csv", "root": "photos"}},
        ]
    }  # fmt: skip
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(written))
    found = read_tasks_config(tmp_path / "a.yaml")
    assert found.tasks[0].head.hidden == 8
    assert found.tasks[0].loss.gamma == 3
    found.save(tmp_path / "b.yaml")
    assert read_tasks_config(tmp_path / "b.yaml") == found
    paths = found.resolved()
    assert paths.tasks[1].data.root == Path("photos").absolute()


def test_paths_of_tasks_become_absolute(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("its.csv").write_text("")
    first = {
        **{"graph": "its.csv", "head": {"name": "gat", "node_features": "its.csv"}},
        "loss": {"name": "bce", "label_weights": "its.csv", "pos_weight": "its.csv"},
        "missing": {"unknown": "complete", "unlabelled": "its.csv"},
        **{"distillation": {"teacher": "its.csv"}, "data": {"name": "csv", "root": "its.csv"}},
    }
    second = {"name": "b", "data": {"name": "csv", "root": "its.csv"}}
    tasks = [{"name": "a", **first}, second, {**second, "name": "c"}]
    shared = {"tasks": ["b", "c"], "graph": "its.csv"}
    given = {"tasks": tasks, "shared": shared, "images.cache_folder": "its.csv"}
    made = MultiTaskConfig().with_options(given).resolved()
    text = made.to_yaml()
    assert text.count("its.csv") == 11
    assert text.count(f"{tmp_path}/its.csv") == 11
    assert made.resolved() == made


WRONG = {
    "two tasks are called 'a'": {"tasks": [{"name": "a"}, {"name": "a"}]},
    "has no data set": {"data": "none", "tasks": [{"name": "a"}]},
    "kind=regression needs a column": {"tasks": [{"name": "a", "kind": "regression"}]},
    "column=n: not for data=scenes": {
        "data": "scenes", "tasks": [{"name": "a", "kind": "regression", "column": "n"}]},
    "head=gat: not for kind=regression": {
        "tasks": [{"name": "a", "kind": "regression", "column": "n", "head": "gat"}]},
    "loss=focal: not for kind=regression, which has default, squared": {
        "tasks": [{"name": "a", "kind": "regression", "column": "n", "loss": "focal"}]},
    "loss=huber: not for kind=multilabel": {"tasks": [{"name": "a", "loss": "huber"}]},
    "length=3: not for kind=multilabel": {"tasks": [{"name": "a", "length": 3}]},
    "kind=multiclass has one column": {
        "tasks": [{"name": "a", "kind": "multiclass", "column": ["x", "y"]}]},
    "weight=2.0: not for balancing=equal, only for fixed": {
        "tasks": [{"name": "a", "weight": 2.0}]},
    "head.similarity: not for several tasks": {
        "tasks": [{"name": "a", "head": {"name": "gat", "similarity": "auto"}}]},
    "missing.unknown=complete: not for kind=multiclass": {
        "tasks": [{"name": "a", "kind": "multiclass", "column": "n",
                   "missing": {"unknown": "complete"}}]},
    "decision.calibrate=vector: not for kind=multiclass": {
        "tasks": [{"name": "a", "kind": "multiclass", "column": "n",
                   "decision": {"calibrate": "vector"}}]},
    "decision.calibrate=temperature: not for kind=regression": {
        "tasks": [{"name": "a", "kind": "regression", "column": "n",
                   "decision": {"calibrate": "temperature"}}]},
    "nothing to compare with one task": {"tasks": [{"name": "a"}], "run.compare": "yes"},
    r"tasks\[0\].head=forest: not for several tasks, only for a run with one": {
        "tasks": [{"name": "a", "head": "forest"}]},
    "decision.aim=micro-f1: not for kind=regression": {
        "tasks": [{"name": "a", "kind": "regression", "column": "n",
                   "decision": {"aim": "micro-f1"}}]},
    "missing.unlabelled=more: not for a task with a column": {
        "tasks": [{"name": "a", "column": "n", "missing": {"unknown": "complete",
                                                           "unlabelled": "more"}}]},
    "unknown task of shared.tasks 'b'; choose from a": {
        "tasks": [{"name": "a"}], "shared.tasks": ["a", "b"]},
    "shared.tasks=a: give the names of two": {"tasks": [{"name": "a"}], "shared.tasks": ["a"]},
    "shared.graph: only with shared.tasks": {"tasks": [{"name": "a"}], "shared.graph": "npmi"},
    "task 'n': kind=regression: its outputs are no labels": {
        "tasks": [{"name": "a"}, {"name": "n", "kind": "regression", "column": "n"}],
        "shared.tasks": ["a", "n"]},
    "task 'a': head=gat: the graph and head of these tasks": {
        "tasks": [{"name": "a", "head": "gat"}, {"name": "b"}], "shared.tasks": ["a", "b"]},
    "shared: head.residual_decay: not for several tasks": {
        "tasks": [{"name": "a"}, {"name": "b"}], "shared.tasks": ["a", "b"],
        "shared.head": {"name": "gat", "residual_decay": 2.0}},
    "head.start=ridge: not for encoder.init=x": {
        "tasks": [{"name": "a", "head": {"name": "gat", "start": "ridge"}}], "encoder.init": "x"},
    "needs a name": {"tasks": [{"name": "1 a"}]},
    r"tasks\[0\].coulmn.*did you mean 'tasks\[0\].column'": {
        "tasks": [{"name": "a", "coulmn": "x"}]},
    "give a list of options": {"tasks": {"name": "a"}},
    r"tasks\[0\]='a': give options": {"tasks": ["a"]},
    "data.minus_one has no effect": {
        "data.minus_one": "absent", "tasks": [{"name": "a", "column": "x"}]},
    "nothing to balance with one task": {"tasks": [{"name": "a"}], "balancing": "famo"},
    "run.folds=3: not for several tasks": {"run.folds": 3},
    "run.refit=True: not for several tasks": {"run.refit": True},
    "run.keep=proven": {"run.keep": "proven"},
    "run.epochs=0": {"run.epochs": 0},
    "balancing='fama': give": {"balancing": "fama"},
    "the weights of all tasks are 0": {
        "tasks": [{"name": "a", "weight": 0}, {"name": "b", "weight": 0}], "balancing": "fixed"},
    "^shared.tasks=a,a: give the names of two": {
        "tasks": [{"name": "a"}, {"name": "b"}], "shared": {"tasks": ["a", "a"]}},
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_wrong_combinations_are_refused_in_one_line(message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        config(tmp_path, tmp_path / "run", **WRONG[message])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "things"], "give NAME=labels|class|number|sequence:COLUMN"),
        (["--task", "things=labels:"], "give NAME=labels|class|number|sequence:COLUMN"),
        (["--task", "a=class", "--data", "csv", "--root", "x"], "needs a column of a CSV file"),
        (["--task", "a=labels:x", "--head", "svm"], "head=svm: not for several tasks"),
        (["--task", "a=labels:x", "--recipe", "mlgcn"], "--recipe: not for several tasks"),
        (
            ["--task", "a=labels:x", "--head", "gat", "--head.similarity", "auto"],
            "head.similarity: not for several tasks",
        ),
        (
            ["--head", "rnn"],
            "head=rnn: predicts labels in order: train it with --task labels=sequence:head=rnn",
        ),
        (["--task", "things=label:x"], "did you mean 'labels'"),
        (
            ["--task", "n=number:x:wieght=2"],
            "unknown option of a task 'wieght'; did you mean 'weight'",
        ),
        (
            ["--task", "a=labels:x", "--data", "csv", "--root", "x", "--graph", "npmi:top_k=2"],
            "task 'a': graph=npmi:top_k=2: not for head=linear, only for gcn, gat",
        ),
        (
            [
                "--task",
                "a=labels:x",
                "--data",
                "csv",
                "--root",
                "x",
                "--freeze",
                "encoder",
                "--optimizer.encoder-lr",
                "0.2",
            ],
            "optimizer.encoder_lr=0.2: not for encoder.freeze=encoder, only for none, norms",
        ),
        (["--task", "a=class:x", "--head", "gat"], "--head: no task has kind multilabel"),
        (["--task", "a=labels:x", "--recipe", "auto"], "--recipe: not for several tasks"),
        (["--shared.graph", "npmi"], "--shared.graph npmi: only with several tasks"),
        (["--task", "a=class:x", "--missing.mask-labels", "0.5"], "no task has kind"),
        (["--balancing", "famo"], "--balancing famo: only with several tasks"),
        (["--task", "a=class:x"], "task 'a' has no data set"),
        (["--resume", "nowhere", "--task", "a=class:x"], "--task"),
    ],
)
def test_wrong_words_are_refused_in_one_line(words, message, capsys) -> None:
    assert main(["train", *words]) == 2
    found = capsys.readouterr().err
    assert message in found
    assert found.count("\n") == 1


def test_the_default_loss_has_the_options_of_bce(capsys) -> None:
    words = ["--task", "a=labels:x", "--task", "b=class:y", "--data", "csv", "--root", "x"]
    assert main(["train", *words, "--pos-weight", "balanced", "--print-config"]) == 0
    a, b = yaml.safe_load(capsys.readouterr().out)["tasks"]
    assert (a["loss"]["name"], a["loss"]["pos_weight"]) == ("bce", "balanced")
    assert b["loss"]["name"] == "default"


def test_options_of_labels_belong_to_each_task_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tasks: [{name: a}]\nhead: gat\n")
    with pytest.raises(InputError, match="head: in a file an option of each task"):
        read_tasks_config(tmp_path / "a.yaml")


def test_without_tasks_nothing_is_trained() -> None:
    with pytest.raises(InputError, match="no task"):
        MultiTaskConfig().resolved()
    assert inspect.signature(MultiTaskConfig).parameters["tasks"].default == ()
