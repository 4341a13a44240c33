"""Columns as targets, data sets of several tasks, and gradients against a union by hand."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.multitask import MultiTaskConfig
from gatlabel.multitask.building import build_model, make_loaders, make_objective
from gatlabel.multitask.parts import Known, labelled_rows, read_parts
from gatlabel.targets import Targets
from tests.colours import write_colours
from tests.multitask.tables import config, write_table

NAN = math.nan


def table(root: Path, text: str) -> Path:
    write_colours(root)
    rows = text.strip().splitlines()
    images = [f"images/{k}.png,{'train' if k < 2 else 'val'}" for k in range(len(rows) - 1)]
    lines = ["image,split," + rows[0], *(f"{i},{r}" for i, r in zip(images, rows[1:], strict=True))]
    (root / "tasks.csv").write_text("\n".join(lines) + "\n")
    return root


def targets(root: Path, *tasks: dict) -> dict[str, Tensor]:
    """All targets of the tasks, those of training first."""
    (part,) = read_parts(config(root, root / "run", tasks=list(tasks)))

    def dense(known: Known) -> Tensor:
        return known.to_dense() if isinstance(known, Targets) else known

    names = [task["name"] for task in tasks]
    return {n: torch.cat([dense(own[n]) for own in part.targets.values()]) for n in names}


@pytest.mark.parametrize(
    ("kind", "cell", "message"),
    [
        ("regression", "three", "line 3, column 'x': 'three' is not a number"),
        ("regression", "inf", "line 3, column 'x': 'inf' is not a number"),
        ("regression", "1_000", "line 3, column 'x': '1_000' is not a number"),
        ("regression", '"1,5"', "line 3, column 'x': '1,5' is not a number"),
        ("multiclass", "a|b", "line 3, column 'x': 'a|b' is not a class, which has no '|'"),
        ("multiclass", "1", "column 'x' names one class, '1'"),
        ("multilabel", "0", "column 'x' has 0 and 1, not names of labels"),
        ("sequence", "a|b|a", "line 3, column 'x': a label occurs twice"),
    ],
)
def test_wrong_cells_are_named(kind: str, cell: str, message: str, tmp_path: Path) -> None:
    root = table(tmp_path, f"x\n1\n{cell}\n1")
    with pytest.raises(InputError, match=message):
        targets(root, {"name": "t", "kind": kind, "column": "x"})


def test_quoted_and_missing_cells_of_every_kind_of_column(tmp_path: Path) -> None:
    root = table(
        tmp_path,
        '''things,kind,width,height,story
"cat|dog, big","very ""odd""",1.5,-2e1,"dog, big|cat"
|,,,3,
,plain,0.5,,|
"cat",plain,2,4,cat''',
    )
    found = targets(
        root,
        {"name": "things", "column": "things"},
        {"name": "kind", "kind": "multiclass", "column": "kind"},
        {"name": "size", "kind": "regression", "column": ["width", "height"]},
        {"name": "story", "kind": "sequence", "column": "story", "length": 2},
    )
    (part,) = read_parts(config(root, root / "run", tasks=[{"name": "things", "column": "things"}]))
    assert part.outputs["things"] == ("cat", "dog, big")
    assert found["things"].tolist() == [[1, 1], [0, 0], [-1, -1], [1, 0]]
    assert found["kind"].tolist() == [1, -1, 0, 0]  # plain, then very "odd"
    size = torch.tensor([[1.5, -20.0], [NAN, 3.0], [0.5, NAN], [2.0, 4.0]])
    assert torch.equal(found["size"].nan_to_num(9), size.nan_to_num(9))
    assert found["story"].tolist() == [[1, 0], [-1, -1], [2, -1], [0, 2]]


def test_notes_name_the_labels_of_each_task_and_nothing_about_numbers(tmp_path: Path) -> None:
    """Numbers that are all equal, and images without any label, are nothing to tell."""
    root = table(
        tmp_path,
        """things,cat,dog,kind,width,story
cat,1,,plain,2,cat|dog
cat,1,0,odd,2,dog
,0,1,odd,2,cat
|,0,1,even,2,cow""",
    )
    tasks = [
        {"name": "a", "column": "things"},
        {"name": "b", "column": ["cat", "dog"]},
        {"name": "c", "kind": "multiclass", "column": "kind"},
        {"name": "d", "kind": "regression", "column": "width"},
        {"name": "e", "kind": "sequence", "column": "story"},
    ]
    (part,) = read_parts(config(root, root / "run", tasks=tasks))
    assert part.splits.notes == (
        "a: 1 labels are present and never known to be absent in train: cat",
        "b: 1 labels are never present in train: dog",
        "b: 1 labels are present and never known to be absent in train: cat",
        "b: 1 labels are present and never known to be absent in val: dog",
        "c: 1 labels are never present in train: even",
        "e: 1 labels are never present in train: cow",
        "e: 1 labels are present and never known to be absent in train: dog",
    )


def test_the_columns_of_images_and_splits_are_no_targets(tmp_path: Path) -> None:
    root = table(tmp_path, "x\n1\n2\n3")
    for column, what in (("image", "the images"), ("split", "the splits")):
        with pytest.raises(InputError, match=f"column '{column}' holds {what}, which is no target"):
            targets(root, {"name": "t", "kind": "multiclass", "column": column})


def test_a_split_without_labels_of_a_task_is_refused(tmp_path: Path) -> None:
    root = table(tmp_path, "x,y\n1,1\n,1\n,1")
    with pytest.raises(InputError, match="task 't': no image of the split 'val'"):
        targets(root, {"name": "t", "kind": "regression", "column": "x"},
                {"name": "u", "kind": "regression", "column": "y"})  # fmt: skip
    root = table(tmp_path / "empty", "x,y\n,1\n,1\n,1")
    with pytest.raises(InputError, match="no row is labelled for the task 't'"):
        targets(root, {"name": "t", "kind": "regression", "column": "x"})


def test_splits_made_here_are_stratified_by_what_tasks_have(tmp_path: Path) -> None:
    root = write_table(tmp_path)
    text = (root / "tasks.csv").read_text().replace("split", "other")
    (root / "tasks.csv").write_text(text)
    (part,) = read_parts(config(root, root / "run", **{"data.fractions": [0.5, 0.25, 0.25]}))
    sizes = [len(source) for _, source in part.splits.items()]
    assert sizes == [12, 6, 6]
    for split in ("train", "val", "test"):
        assert (part.targets[split]["kind"] != -1).sum() >= 3


def test_a_task_alone_has_the_images_labelled_for_it_in_the_same_splits(tmp_path: Path) -> None:
    (part,) = read_parts(config(write_table(tmp_path), tmp_path / "run"))
    things = part.only("things")
    assert len(things.splits.train) == 10  # of 16, a third of which has an empty cell
    assert things.targets["train"]["things"].known().all()
    assert len(part.only("kind").splits.train) == 11
    alone = part.only("count")
    assert list(alone.outputs) == ["count"]
    for (split, source), (_, whole) in zip(alone.splits.items(), part.splits.items(), strict=True):
        known = ~part.targets[split]["count"].isnan()[:, 0]
        assert source.ids == tuple(i for i, k in zip(whole.ids, known, strict=True) if k)
        assert not alone.targets[split]["count"].isnan().any()
    unknown = Targets(torch.tensor([[-1.0, -1.0], [0.0, -1.0]]))
    assert labelled_rows(unknown) == [1]


def three_sets(tmp_path: Path) -> MultiTaskConfig:
    """Two multi-label sets and a regression, each with images of its own."""
    roots = [write_table(tmp_path / name) for name in "abc"]
    sets = [{"name": "csv", "root": str(root)} for root in roots]
    text = (roots[1] / "labels.csv").read_text()
    (roots[1] / "labels.csv").write_text(text.replace("red", "scarlet"))
    tasks = [
        {"name": "one", "data": sets[0]},
        {"name": "two", "data": sets[1], "head": {"name": "gat", "hidden": 8, "heads": 2},
         "graph": "npmi:top_k=2"},
        {"name": "count", "kind": "regression", "column": "count",
         "data": {**sets[2], "annotations": "tasks.csv"}},
    ]  # fmt: skip
    return config(roots[0], tmp_path / "run", tasks=tasks, data="none").resolved()


def test_gradients_are_those_of_a_union_by_hand_and_absent_tasks_give_exactly_0(
    tmp_path: Path,
) -> None:
    options = three_sets(tmp_path)
    parts = read_parts(options)
    model = build_model(options, parts).double().eval()  # no dropout, batch norms as they are
    assert model.tasks["two"].outputs != model.tasks["one"].outputs
    assert model.tasks["two"].graph is not None
    objective = make_objective(options)
    loader, _ = make_loaders(options, parts, model)
    batch = next(b for b in loader if all((b.targets[n] != -1).any() for n in ("one", "two")))
    rows = {
        "one": (batch.targets["one"] != -1).all(1),
        "two": (batch.targets["two"] != -1).all(1),
        "count": ~batch.targets["count"].isnan().all(1),
    }
    owners = torch.stack(list(rows.values())).sum(0)
    assert owners.max() <= 1  # an image is labelled for its own data set only
    double = {name: value.double() for name, value in batch.targets.items()}
    batch = type(batch)(batch.inputs, double, batch.index)
    objective.total(objective.step(model, batch, 0)).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    # by hand: each head on the images of its own, encoded apart
    loss = torch.zeros((), dtype=torch.float64)
    for name, mine in rows.items():
        if not mine.any():
            continue
        features = model.features(batch.inputs["image"][mine])
        outputs, true = model.tasks[name].head(features), double[name][mine]
        if name == "count":
            task = model.tasks[name]
            scaled = (true - task.offset[0]) / task.scale[0]
            loss = loss + (outputs - scaled).square().mean()
        else:
            loss = loss + F.binary_cross_entropy_with_logits(outputs, true)
    loss.backward()
    assert found
    for name, parameter in model.named_parameters():
        if name in found:
            expected = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            assert torch.allclose(found[name], expected, rtol=0, atol=1e-6), name
    # of a batch without targets of a task, its head gets 0
    double["two"] = torch.full_like(double["two"], -1)
    model.zero_grad()
    losses = objective.step(model, batch, 0)
    assert losses["two"] == 0
    objective.total(losses).backward()
    for parameter in model.tasks["two"].head.parameters():
        assert parameter.grad is None or not parameter.grad.any()


def test_numbers_are_standardised_on_the_training_set(tmp_path: Path) -> None:
    options = config(write_table(tmp_path), tmp_path / "run").resolved()
    parts = read_parts(options)
    task = build_model(options, parts).tasks["count"]
    known = parts[0].targets["train"]["count"].double()
    known = known[~known.isnan()]
    assert task.offset[0] == pytest.approx(float(known.mean()))
    assert task.scale[0] == pytest.approx(float(known.std(correction=0)))
    assert task.standardise(task.activation(torch.tensor([[0.7]]))) == pytest.approx(0.7)


@pytest.mark.parametrize("mixing", ["proportional", "sqrt", "round_robin"])
def test_data_sets_are_mixed(mixing: str, tmp_path: Path) -> None:
    options = three_sets(tmp_path).with_options({"mixing": mixing})
    parts = read_parts(options)
    model = build_model(options, parts)
    loader, validation = make_loaders(options, parts, model)
    known = sum((b.targets["one"] != -1).any(1).sum() for b in loader)
    assert 8 <= known <= 24  # of 16 images, and of the 42 that there are
    assert sum(len(b) for b in validation) == sum(len(part.splits.val) for part in parts)


def test_names_of_the_balancer_reach_it() -> None:
    given = {"data": {"name": "csv", "root": "x"}, "tasks": [
        {"name": "a", "column": "x"},
        {"name": "b", "kind": "regression", "column": "y"},
    ]}  # fmt: skip
    options = MultiTaskConfig().with_options({**given, "balancing": "uncertainty"})
    assert make_objective(options).balancer.factors.tolist() == [1.0, 0.5]
    given["tasks"][0]["weight"] = 3.0
    options = MultiTaskConfig().with_options({**given, "balancing": "fixed"})
    assert make_objective(options).balancer.weights.tolist() == [3.0, 1.0]


@pytest.mark.parametrize("balancing", ["gradnorm", "upgrad"])
def test_gradients_at_features_need_an_encoder_that_learns(balancing: str) -> None:
    given = {"data": {"name": "csv", "root": "x"}, "encoder.freeze": "encoder", "tasks": [
        {"name": "a", "column": "x"},
        {"name": "b", "column": "y"},
    ]}  # fmt: skip
    if balancing == "upgrad":
        pytest.importorskip("torchjd")
    with pytest.raises(InputError, match="freeze=encoder has none: use equal, fixed"):
        make_objective(MultiTaskConfig().with_options({**given, "balancing": balancing}))
