"""Sequence tasks in runs: words, orders, label sets as sequences, resuming, answers."""

import json
import math
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch

from gatlabel import Predictor
from gatlabel.cli import main
from gatlabel.engine.module import TrainingModule
from gatlabel.errors import InputError, Interrupted
from gatlabel.multitask import MultiTaskConfig, evaluate_run, resume_tasks, train_tasks
from gatlabel.multitask.label_sequences import in_order, sequences_of_sets
from gatlabel.multitask.parts import read_parts
from gatlabel.targets import Targets
from gatlabel.tasks import SequenceTask
from tests.multitask.tables import config, write_table

ORDER = {"name": "order", "kind": "sequence", "column": "order"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("data"))


def cut(options: MultiTaskConfig, step: int) -> None:
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


@pytest.mark.parametrize(
    "task",
    [
        {"head": {"name": "rnn", "hidden": 16, "beam": 3}, "loss": "pla"},
        pytest.param(
            {"head": {"name": "transformer", "hidden": 16, "heads": 2}, "order": "frequent"},
            marks=pytest.mark.slow,
        ),
        {"column": None, "head": {"name": "rnn", "hidden": 16}, "loss": "mla"},
    ],
    ids=["rnn-pla", "transformer", "sets-mla"],
)
def test_a_run_is_resumed_bit_for_bit_and_answers(task: dict, root: Path, tmp_path: Path) -> None:
    given = {"tasks": [{**ORDER, **task}], "run.epochs": 3}
    if task.get("column", "") is None:
        given["data.annotations"] = "labels.csv"
    whole = train_tasks(config(root, tmp_path / "whole", **given))
    cut(config(root, tmp_path / "cut", **given), 4)
    resume_tasks(tmp_path / "cut")
    for name in ("model.safetensors", "metrics.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (whole.folder / name).read_bytes(), name
    (split, results), *_ = evaluate_run(whole.folder).items()
    assert dict(results["order"].metrics) == dict(whole.results[split]["order"].metrics)
    assert set(results["order"].metrics) == {
        "exact_match", "exact_set", "set_F1", "edit_distance", "mAP"}  # fmt: skip
    predictor = Predictor.load(whole.folder, workers=0)
    found = predictor(root / "images" / "5.png").to_dict()["order"]
    assert list(found) == ["sequence", "score", "probabilities"]
    assert len(set(found["sequence"])) == len(found["sequence"])
    assert found["score"] <= 0
    assert all(0 <= chance <= 1 for chance in found["probabilities"].values())
    assert json.loads(json.dumps(found)) == found


def test_options_follow_the_column_on_the_command_line(capsys) -> None:
    word = "o=sequence:a:b:loss=pla:head=transformer:head.beam=4:order=rare:length=5"
    assert main(["train", "--data", "csv", "--root", "x", "--task", word, "--print-config"]) == 0
    import yaml

    (task,) = yaml.safe_load(capsys.readouterr().out)["tasks"]
    assert task["column"] == ["a:b"]
    assert (task["loss"]["name"], task["order"], task["length"]) == ("pla", "rare", 5)
    assert (task["head"]["name"], task["head"]["beam"]) == ("transformer", 4)


def test_labels_of_any_data_set_are_a_sequence_without_a_column(root, tmp_path, capsys) -> None:
    words = ["--task", "things=sequence:head.hidden=16:loss=pla", "--data", "csv"]
    words += ["--root", str(root), "--backbone", "shufflenet_v2_x0_5", "--weights", "none"]
    words += ["--image-size", "32", "--epochs", "1", "--output", str(tmp_path / "run")]
    assert main(["train", *words]) == 0
    assert "set_F1" in capsys.readouterr().out.replace("F1 of the label set", "set_F1")
    assert (
        json.loads((tmp_path / "run" / "model.json").read_text())["tasks"][0]["kind"] == "sequence"
    )
    assert "<h1>things (sequence)</h1>" in (tmp_path / "run" / "report.html").read_text()
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "exact match" in capsys.readouterr().out
    image = str(root / "images" / "5.png")
    assert main(["predict", str(tmp_path / "run"), image, "--format", "jsonl"]) == 0
    assert "sequence" in json.loads(capsys.readouterr().out)["things"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"head": "gat"}, "head=gat: not for kind=sequence, which has positions, rnn, transformer"),
        ({"loss": "focal"}, "loss=focal: not for kind=sequence, which has default, pla, mla"),
        ({"head": {"name": "rnn", "beam": 0}}, "beam"),
        ({"head": {"name": "rnn", "heads": 2}}, "heads"),
        ({"order": "random"}, "order='random': give given or frequent or rare"),
        ({"kind": "multilabel", "head": "rnn"}, "head=rnn: not for kind=multilabel"),
        ({"kind": "multilabel", "order": "rare"}, "order=rare: not for kind=multilabel, only for"),
        ({"kind": "multilabel", "loss": "pla"}, "loss=pla: not for kind=multilabel"),
    ],
)
def test_wrong_combinations_are_refused_in_one_line(task, message, root, tmp_path) -> None:
    with pytest.raises(InputError) as error:
        config(root, tmp_path / "run", tasks=[{**ORDER, **task}])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("order", ["frequent", "rare"])
def test_labels_are_ordered_by_their_training_frequency(order, root, tmp_path) -> None:
    (given,) = read_parts(config(root, tmp_path / "run", tasks=[ORDER]))
    (found,) = read_parts(config(root, tmp_path / "run", tasks=[{**ORDER, "order": order}]))
    labels = given.outputs["order"]
    counts = Counter(given.targets["train"]["order"].flatten().tolist())
    sign = -1 if order == "frequent" else 1
    for split in ("train", "val"):
        before, after = given.targets[split]["order"], found.targets[split]["order"]
        for one, other in zip(before.tolist(), after.tolist(), strict=True):
            names = [k for k in one if 0 <= k < len(labels)]
            expected = sorted(sorted(names), key=lambda k: sign * counts[k])
            assert other[: len(names)] == expected
            assert other[len(names) :] == one[len(names) :]


def test_label_sets_become_sequences_with_unknown_labels_beside() -> None:
    dense = torch.tensor([[1, 0, 1, -1], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 1, 0.7, 0.2]])
    found = sequences_of_sets({"train": Targets.of(dense)}, None, "x")["train"]
    nothing = [-1] * 4
    assert found.tolist() == [
        [0, 2, 4, -1, -1, -1, -2 - 3],
        [4, -1, -1, *nothing],
        [-1, -1, -1, *nothing],
        [0, 1, 2, *nothing],
    ]
    rare = in_order({"train": found}, "rare", 4)["train"]
    assert rare.tolist()[3] == [1, 0, 2, *nothing]
    assert rare.tolist()[0] == found.tolist()[0]
    with pytest.raises(InputError, match="task 'x': an image has 3 labels, more than length=2"):
        sequences_of_sets({"train": Targets.of(dense)}, 2, "x")


def test_unknown_labels_count_in_no_metric() -> None:
    task = SequenceTask("x", [*"abcd"], torch.nn.Identity(), length=3, partly_known=True)
    dense = torch.tensor([[1, 0, 1, -1.0]])
    targets = sequences_of_sets({"train": Targets.of(dense)}, 3, "x")["train"].long()
    outputs = torch.full((1, 3, 5), -9.0)
    for step, label in enumerate([0, 3, 2]):  # the second is unknown
        outputs[0, step, label] = 9.0
    found = task.metrics(outputs, targets)
    assert (found["exact_match"], found["set_F1"], found["edit_distance"]) == (1, 1, 0)
    assert math.isnan(task.metrics(outputs, task.absent(1))["set_F1"])
