"""One label graph with the labels of several tasks, against the union built by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

from gatlabel import Predictor
from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import Model
from gatlabel.model.shared_graph import SharedGraph
from gatlabel.multitask import MultiTaskConfig, evaluate_run, resume_tasks, train_tasks
from gatlabel.multitask.building import build_model, make_loaders, make_objective
from gatlabel.multitask.config import read_tasks_config
from gatlabel.multitask.parts import read_parts
from gatlabel.multitask.shared import count_union
from gatlabel.nn import ConditionedHead, GATHead, LinearHead
from gatlabel.nn.heads.rows import RowsHead
from gatlabel.tasks import MultiLabelTask, RegressionTask
from tests.multitask.tables import config, write_table
from tests.multitask.test_runs import cut

SHARED = {"shared.tasks": ["things", "kind"], "shared.graph": "conditional:threshold=0.1"}
SHARED |= {"shared.head": {"name": "gat", "hidden": 8, "heads": 2}}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("data"))


def by_hand(root: Path) -> tuple[list[str], np.ndarray]:
    """Labels and targets of the training rows of the table, cell by cell."""
    rows = [line.split(",") for line in (root / "tasks.csv").read_text().splitlines()[1:]]
    train = [row for row in rows if row[1] == "train"]
    things = sorted({name for row in rows for name in row[2].split("|") if name})
    names = [*things, "few", "many"]
    found = np.full((len(train), len(names)), -1.0)
    for row, (_, _, labels, kind, *_) in enumerate(train):
        if labels:
            found[row, : len(things)] = [name in labels.split("|") for name in things]
        if kind:
            found[row, len(things) :] = [kind == "few", kind == "many"]
    return names, found


def test_pairs_of_two_tasks_are_counted_where_both_are_labelled(root: Path, tmp_path: Path) -> None:
    names, targets = by_hand(root)
    counts = count_union(["things", "kind"], read_parts(config(root, tmp_path / "run", **SHARED)))
    assert list(counts.names) == names
    known, present = targets >= 0, targets == 1
    assert counts.label_counts.tolist() == present.sum(0).tolist()
    pairs = present.T.astype(int) @ present
    np.fill_diagonal(pairs, counts.pair_counts.diagonal())
    assert (counts.pair_counts == pairs).all()
    both = known.T.astype(int) @ known
    assert (counts.known_pairs[~np.eye(len(names), dtype=bool)]
            == both[~np.eye(len(names), dtype=bool)]).all()  # fmt: skip
    assert 0 < both[0, -1] < len(targets)  # some images have one task only


def test_equal_names_of_tasks_with_images_of_their_own_are_one_label(tmp_path: Path) -> None:
    roots = [write_table(tmp_path / name) for name in "ab"]
    tasks = [{"name": n, "data": {"name": "csv", "root": str(r)}}
             for n, r in zip("ab", roots, strict=True)]  # fmt: skip
    parts = read_parts(config(roots[0], tmp_path / "run", tasks=tasks, data="none"))
    counts = count_union(["a", "b"], parts)
    one = Cooccurrence.from_targets(parts[0].splits.train.targets, parts[0].splits.labels)
    assert counts == one + one


def model_and_batch(root: Path, tmp_path: Path):
    options = config(root, tmp_path / "run", **SHARED).resolved()
    parts = read_parts(options)
    model = build_model(options, parts).double().eval()
    for parameter in model.shared.head.parameters():  # attention starts at 0
        torch.nn.init.normal_(parameter, std=0.1)
    objective = make_objective(options)
    loader, _ = make_loaders(options, parts, model)
    batch = next(iter(loader))
    double = {n: t.double() if t.is_floating_point() else t for n, t in batch.targets.items()}
    return model, objective, type(batch)(batch.inputs, double, batch.index)


def test_outputs_and_gradients_are_those_of_the_union_by_hand(root: Path, tmp_path: Path) -> None:
    model, objective, batch = model_and_batch(root, tmp_path)
    names, targets = by_hand(root)
    graph = Cooccurrence.from_targets(targets, names).graph("conditional", threshold=0.1)
    assert model.shared.graph == graph
    assert graph.to_dense()[:-2, -2:].any()  # edges between the tasks
    union = GATHead(1024, graph, hidden=8, heads=2).double().eval()
    union.load_state_dict(model.shared.head.state_dict())
    objective.total(objective.step(model, batch, 0)).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    logits = union(model.features(batch.inputs))
    outputs = model.outputs(batch.inputs)
    assert torch.equal(outputs["things"], logits[:, :-2])
    assert torch.equal(outputs["kind"], logits[:, -2:])
    things, kind = batch.targets["things"], batch.targets["kind"]
    known = things != -1
    loss = F.binary_cross_entropy_with_logits(logits[:, :-2][known], things[known])
    loss = loss + F.cross_entropy(logits[:, -2:][kind != -1], kind[kind != -1])
    for name in ("count", "order"):
        task = model.tasks[name]
        (own,) = task.losses(model.features(batch.inputs), batch.targets[name])[1]
        loss = loss + own
    loss.backward()
    heads = dict(union.named_parameters())
    for name, gradient in found.items():
        inner = name.removeprefix("shared.head.")
        other = heads[inner] if inner != name else dict(model.named_parameters())[name]
        assert torch.allclose(gradient, other.grad, atol=1e-6), name


def test_a_task_that_is_absent_from_a_batch_gives_its_rows_nothing(root, tmp_path) -> None:
    model, objective, batch = model_and_batch(root, tmp_path)
    targets = {**batch.targets, "kind": torch.full_like(batch.targets["kind"], -1)}
    losses = objective.step(model, type(batch)(batch.inputs, targets, batch.index), 0)
    assert losses["kind"] == 0
    losses["kind"].backward()
    assert not any(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_run_is_saved_resumed_predicted_evaluated_and_reported(root, tmp_path, capsys) -> None:
    given = {**SHARED, "run.epochs": 4, "balancing": "uncertainty", "adapter": "adapter"}
    whole = train_tasks(config(root, tmp_path / "whole", **given))
    cut(config(root, tmp_path / "cut", **given), 6)
    resume_tasks(tmp_path / "cut")
    for name in ("model.safetensors", "graph.json", "metrics.csv"):
        one, other = (tmp_path / run / name for run in ("whole", "cut"))
        assert one.read_bytes() == other.read_bytes(), name
    loaded = Model.from_pretrained(whole.folder)
    assert loaded.shared.graph == LabelGraph.load(whole.folder / "graph.json")
    assert len(loaded.adapter.adapters) == 3  # one for the graph, not one for each of its tasks
    image = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    for name, output in loaded(image).items():
        assert torch.equal(output, whole.model.eval()(image)[name])
    answers = Predictor.load(whole.folder)(root / "images" / "5.png").answers
    assert set(answers["kind"]["probabilities"]) == {"few", "many"}
    assert set(evaluate_run(whole.folder)["val"]) == {"things", "kind", "count", "order"}
    assert "one graph with the labels of things, kind" in (whole.folder / "report.html").read_text()


@pytest.mark.slow
def test_a_single_task_of_the_comparison_has_a_graph_of_its_own(root, tmp_path) -> None:
    options = config(root, tmp_path / "run", **SHARED, **{"run.compare": "yes", "run.epochs": 1})
    result = train_tasks(options)
    assert [each.name for each in result.comparisons] == ["single"]
    assert set(result.comparisons[0].results["val"]) == {"things", "kind", "count", "order"}


def test_from_words_to_yaml_and_back(root: Path, tmp_path: Path, capsys) -> None:
    words = ["train", "--data", "csv", "--root", str(root), "--task", "things=labels:labels",
             "--task", "kind=class:kind", "--shared.tasks", "things,kind",
             "--shared.graph", "npmi:top_k=2", "--shared.head", "gcn", "--loss", "asl"]  # fmt: skip
    assert main([*words, "--print-config"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "a.yaml").write_text(text)
    found = read_tasks_config(tmp_path / "a.yaml")
    assert yaml.safe_load(text)["shared"]["head"]["name"] == "gcn"
    assert found.shared.tasks == ("things", "kind")
    assert found.tasks[0].loss.name == "asl"
    assert found.tasks[1].loss.name == "default"
    by_hand = MultiTaskConfig(
        data={"name": "csv", "root": str(root)},
        tasks=[
            {"name": "things", "column": "labels", "loss": "asl"},
            {"name": "kind", "kind": "multiclass", "column": "kind"},
        ],
        shared={"tasks": ["things", "kind"], "graph": "npmi:top_k=2", "head": "gcn"},
    )
    assert found == by_hand


def test_what_does_not_fit_together_is_refused_in_one_line(tmp_path: Path) -> None:
    graph = Cooccurrence.from_targets([[1, 0, 1], [0, 1, 1]], ["a", "b", "c"]).graph("complete")
    shared = SharedGraph(GATHead(8, graph, hidden=8), graph)
    with pytest.raises(InputError, match="head=conditioned: not for a graph of several tasks"):
        SharedGraph(ConditionedHead(8, graph), graph)
    with pytest.raises(InputError, match="different labels"):
        SharedGraph(LinearHead(8, labels=["a"]), graph)
    task = MultiLabelTask("t", ["c"], shared.rows(["c"]))
    with pytest.raises(InputError, match="part of a shared graph"):
        Model({}, [task])
    with pytest.raises(InputError, match="no task has its labels in the graph"):
        Model({}, [MultiLabelTask("t", ["a"], LinearHead(8, labels=["a"]))], shared=shared)
    with pytest.raises(InputError, match="kind=regression: its outputs are no labels"):
        Model({}, [RegressionTask("n", ["c"], RowsHead(graph.labels, ["c"]))], shared=shared)
    with pytest.raises(InputError, match="part of another graph"):
        Model({}, [MultiLabelTask("t", ["c"], RowsHead(["c", "d"], ["c"]))], shared=shared)
    with pytest.raises(InputError, match="'d'"):
        shared.rows(["d"])
    Model({}, [task], shared=shared).save_pretrained(tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    del described["shared"]
    (tmp_path / "model.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="rows"):
        Model.from_pretrained(tmp_path)
