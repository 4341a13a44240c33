"""Starts of heads, unknown labels, teachers and learning rates of each task."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.missing import make_completion
from gatlabel.model import Model, MultiLabelClassifier
from gatlabel.model.alone import alone
from gatlabel.multitask import resume_tasks, train_tasks
from gatlabel.multitask.building import build_model, make_loaders, make_objective, outputs_of
from gatlabel.multitask.completing import make_completions
from gatlabel.multitask.parts import labelled_rows, read_parts
from gatlabel.multitask.shared import union_of
from gatlabel.targets import Targets
from gatlabel.training import plain, train
from gatlabel.training.starting import features
from tests.multitask.tables import TASKS, config, write_table
from tests.multitask.test_runs import cut

UNKNOWN = {"unknown": "complete", "mask_labels": 0.4}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("data"))


def tasks_with(**things) -> list[dict]:
    """The tasks of the table; the multi-label one has further options."""
    return [{**task, **things} if task["name"] == "things" else dict(task) for task in TASKS]


def test_unknown_labels_are_completed_on_the_images_of_the_task_alone(root, tmp_path) -> None:
    options = config(root, tmp_path / "run", tasks=tasks_with(missing=UNKNOWN)).resolved()
    whole = read_parts(config(root, tmp_path / "run"))[0].targets["train"]["things"]
    parts = read_parts(options)
    known = parts[0].targets["train"]["things"]
    rows = labelled_rows(whole)
    assert list(parts[0].trained["things"]) == rows  # masked ones too
    assert torch.equal(known.to_dense(), whole.mask(0.4, options.run.seed).to_dense())
    names = parts[0].outputs["things"]
    graph = Cooccurrence.from_targets(known, names).graph("conditional")
    by_hand = make_completion("complete", known.take(rows), graph)
    completing = make_completions(options, parts)["things"]
    found = completing.targets(torch.arange(len(known)), torch.device("cpu"))
    assert torch.equal(found[rows], by_hand.targets)
    absent = [row for row in range(len(known)) if row not in rows]
    assert (found[absent] == -1).all()
    logits = torch.randn(len(known), len(names))
    order = torch.randperm(len(known))
    completing.keep(logits[order], order)
    completing.update(0.5, None)
    by_hand.update(logits[rows], 0.5)
    assert torch.equal(completing.completion.targets, by_hand.targets)


def test_positions_of_a_second_data_set_are_counted_from_its_first_image(tmp_path: Path) -> None:
    roots = [write_table(tmp_path / name) for name in "ab"]
    tasks = [
        {"name": n, "data": {"name": "csv", "root": str(r)}, "missing": {"unknown": "negative"}}
        for n, r in zip("ab", roots, strict=True)
    ]
    options = config(roots[0], tmp_path / "run", tasks=tasks, data="none").resolved()
    parts = read_parts(options)
    completions = make_completions(options, parts)
    model = build_model(options, parts, completions)
    objective = make_objective(options, outputs_of(parts), completions)
    batch = next(iter(make_loaders(options, parts, model)[0]))
    now = objective.current_targets(batch)
    size = len(parts[0].splits.train)
    for k, name in enumerate("ab"):
        mine = batch.index // size == k
        assert (now[name][~mine] == -1).all()
        assert torch.equal(now[name][mine], parts[k].targets["train"][name].rows(
            (batch.index[mine] % size).tolist()))  # fmt: skip
        assert mine.any()


@pytest.mark.slow
def test_an_interrupted_run_with_completion_and_ridge_ends_bit_for_bit(root, tmp_path) -> None:
    things = {"missing": UNKNOWN, "head": {"name": "gat", "hidden": 8, "start": "ridge"}}
    given = {"tasks": tasks_with(**things), "run.epochs": 4, "optimizer.lr": "find"}
    whole = train_tasks(config(root, tmp_path / "whole", **given))
    rate = yaml.safe_load((whole.folder / "config.yaml").read_text())["optimizer"]["lr"]
    assert isinstance(rate, float)
    given["optimizer.lr"] = rate  # steps of the ramp are no steps of the run
    cut(config(root, tmp_path / "cut", **given), 6)
    resume_tasks(tmp_path / "cut")
    for name in ("model.safetensors", "metrics.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_ridge_is_that_of_the_labelled_images(root: Path, tmp_path: Path) -> None:
    things = {"head": {"name": "linear", "start": "ridge"}}
    (task,) = [task for task in tasks_with(**things) if task["name"] == "things"]
    options = config(root, tmp_path / "run", tasks=[task], **{"run.epochs": 0})
    said: list[str] = []
    model = train_tasks(options, log=said.append).model
    assert any("things: ridge regression on frozen features, 3 labels, val mAP" in s for s in said)
    (part,) = read_parts(options)
    rows = list(part.trained["things"])
    found = features(alone(model, "things"), part.splits.train, options.part_of(options.tasks[0]))
    targets = part.targets["train"]["things"].take(rows).to_dense()
    by_hand = ridge_start(found[rows], targets)
    assert torch.allclose(model.tasks["things"].head.linear.weight, by_hand.weight, atol=1e-6)
    assert torch.allclose(model.tasks["things"].head.linear.bias, by_hand.bias, atol=1e-6)


def test_ridge_leaves_groups_out_together(tmp_path: Path) -> None:
    root = write_table(tmp_path / "data")
    head, *lines = (root / "tasks.csv").read_text().splitlines()
    grouped = [f"{head},patient", *(f"{line},p{row // 4}" for row, line in enumerate(lines))]
    (root / "tasks.csv").write_text("\n".join(grouped) + "\n")
    things = {"head": {"name": "linear", "start": "ridge"}}
    given = {"tasks": tasks_with(**things)[:1], "run.epochs": 0, "data.group_column": "patient"}
    options = config(root, tmp_path / "run", **given)
    said: list[str] = []
    model = train_tasks(options, log=said.append).model
    (part,) = read_parts(options)
    source, rows = part.splits.train, list(part.trained["things"])
    found = features(alone(model, "things"), source, options.part_of(options.tasks[0]))[rows]
    targets = part.targets["train"]["things"].take(rows).to_dense()
    each = ridge_start(found, targets).error
    together = ridge_start(found, targets, groups=[source.groups[row] for row in rows]).error
    assert f"{each:.4f}" != f"{together:.4f}"
    assert any(line.endswith(f"leave-one-out error {together:.4f}") for line in said)


def test_the_head_of_a_shared_graph_starts_at_ridge_of_all_its_labels(root, tmp_path) -> None:
    names = ("things", "kind")
    shared = {"tasks": names, "graph": "conditional:threshold=0.1"}
    shared["head"] = {"name": "gat", "hidden": 8, "heads": 2, "start": "ridge"}
    given = [dict(task) for task in TASKS if task["name"] in names]
    options = config(root, tmp_path / "run", tasks=given, shared=shared, **{"run.epochs": 0})
    model = train_tasks(options).model
    (part,) = read_parts(options)
    labels = model.shared.graph.labels
    found = features(alone(model, "kind"), part.splits.train, options.part_of(options.tasks[0]))
    by_hand = ridge_start(found, union_of(part, names, labels, "train"))
    logits = model.shared(found)  # attention starts at 0
    assert torch.allclose(logits, found @ by_hand.weight.T + by_hand.bias, atol=1e-4)


def test_a_teacher_changes_the_targets_of_its_task(root: Path, tmp_path: Path) -> None:
    base = {"head": "linear", "data": {"name": "csv", "root": str(root)}, "images.size": 32,
            "encoder.backbone": "shufflenet_v2_x0_5", "encoder.weights": "none",
            "run.epochs": 1, "run.progress": False,
            "run.workers": 0, "run.output": tmp_path / "teacher"}  # fmt: skip
    train(plain().with_options(base))
    distillation = {"teacher": str(tmp_path / "teacher"), "weight": 0.25}
    options = config(root, tmp_path / "run", tasks=tasks_with(distillation=distillation)).resolved()
    parts = read_parts(options)
    model = build_model(options, parts)
    objective = make_objective(options, outputs_of(parts))
    batch = next(iter(make_loaders(options, parts, model)[0]))
    found, given = objective.current_targets(batch), batch.targets["things"]
    teacher = MultiLabelClassifier.from_pretrained(tmp_path / "teacher")
    with torch.no_grad():
        taught = teacher(batch.inputs["image"]).sigmoid()
    order = [teacher.labels.index(name) for name in model.tasks["things"].outputs]
    expected = torch.where(given == -1, given, 0.75 * given + 0.25 * taught[:, order])
    assert torch.allclose(found["things"], expected, atol=1e-5)
    assert torch.equal(found["kind"], batch.targets["kind"])
    # a run of several tasks starts from the run with one
    said: list[str] = []
    init = {"encoder.init": str(tmp_path / "teacher"), "run.epochs": 1}
    begun = build_started(config(root, tmp_path / "other", **init), said)
    assert "things: initialised from" in said[0]
    assert "all 3 labels" in said[0]
    assert torch.equal(begun.tasks["things"].head.linear.weight, teacher.head.linear.weight)
    assert any("count: not initialised from" in line for line in said)


def build_started(options, said: list[str]) -> Model:
    from gatlabel.multitask.starting import start_heads

    options = options.resolved()
    parts = read_parts(options)
    model = build_model(options, parts)
    start_heads(model, options, parts, {}, said.append)
    return model


def test_a_run_starts_from_another_with_several_tasks(root: Path, tmp_path: Path) -> None:
    first = train_tasks(config(root, tmp_path / "first", **{"run.epochs": 1})).model
    said: list[str] = []
    init = {"encoder.init": str(tmp_path / "first"), "encoder.backbone": "auto"}
    model = build_started(config(root, tmp_path / "run", **init), said)
    assert model.encoders["image"].name == "shufflenet_v2_x0_5"
    for name in ("things", "kind"):
        assert torch.equal(model.tasks[name].head.linear.weight,
                           first.tasks[name].head.linear.weight)  # fmt: skip
    theirs = first.encoders["image"].state_dict()
    for key, value in model.encoders["image"].state_dict().items():
        if key != "_extra_state":
            assert torch.equal(value, theirs[key]), key
    with pytest.raises(InputError, match=r"init=.*nowhere: there is no such folder"):
        build_started(config(root, tmp_path / "run", **{"encoder.init": "nowhere"}), said)


@pytest.mark.parametrize(
    ("things", "message"),
    [
        ({"missing": {"similarity_weight": 0.2}}, "task 'things': missing.similarity_weight=0.2"),
        ({"missing": {"pseudo_by_graph": True}}, "task 'things': missing.pseudo_by_graph"),
        ({"distillation": {"teacher": "nowhere"}}, "teacher: "),
    ],
)
def test_what_has_no_effect_or_is_missing_is_refused_in_one_line(
    things: dict, message: str, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        train_tasks(config(root, tmp_path / "run", tasks=tasks_with(**things)))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_losses_count_completed_targets(root: Path, tmp_path: Path) -> None:
    things = {"missing": {"unknown": "negative", "mask_labels": 0.5},
              "loss": {"name": "bce", "pos_weight": "balanced"}}  # fmt: skip
    options = config(root, tmp_path / "run", tasks=tasks_with(**things)).resolved()
    parts = read_parts(options)
    completions = make_completions(options, parts)
    loss = build_model(options, parts, completions).tasks["things"].loss
    counts = Targets.of(completions["things"].completion.targets).counts()
    assert counts.known.min() == len(parts[0].trained["things"])
    ratio = torch.tensor(counts.absent / counts.present, dtype=torch.float32)
    assert torch.allclose(loss.pos_weight / loss.pos_weight[0], ratio / ratio[0], rtol=1e-4)
    assert json.dumps(options.to_dict())
