"""A run with several tasks as one file with an output per task, and explanations of its images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel import Predictor
from gatlabel.cli import main
from gatlabel.deploy import export_tasks
from gatlabel.deploy.exported_tasks import ExportedTasks
from gatlabel.deploy.parity import sample_images
from gatlabel.errors import InputError
from gatlabel.model import Model
from gatlabel.model.alone import alone
from gatlabel.model.head_folding import folded_model
from gatlabel.multitask import train_tasks
from gatlabel.nn import GATHead, LinearHead
from tests.multitask.tables import TASKS, config, write_table

SHARED = {"tasks": ["things", "kind"], "graph": "conditional:threshold=0.1"}
SHARED |= {"head": {"name": "gat", "hidden": 8, "heads": 2}}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    root = write_table(tmp_path_factory.mktemp("data"))
    things = {"decision": {"aim": "micro-f1", "calibrate": "temperature"}}
    kind = {**TASKS[1], "decision": {"calibrate": "temperature"}}
    tasks = [{**TASKS[0], **things}, kind, TASKS[2], {**TASKS[3], "head": "positions"}]
    given = {
        "encoder.backbone": "squeezenet1_1",
        "tasks": tasks,
        "shared": SHARED,
        "adapter": "adapter",
        "optimizer.lr": 1e-2,
    }
    return train_tasks(config(root, root / "run", **given, **{"run.epochs": 1})).folder


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    """A program of torch."""
    export_tasks(run, run.parent / "bundle", format="pt2")
    return run.parent / "bundle"


def test_a_folded_model_has_linear_heads_and_equal_outputs(run: Path) -> None:
    model = Model.from_pretrained(run)
    folded = folded_model(model)
    assert isinstance(folded.shared.head, LinearHead)
    assert isinstance(model.shared.head, GATHead)
    images = sample_images(2, 32)
    with torch.inference_mode():
        for name, output in model(images).items():
            torch.testing.assert_close(folded(images)[name], output, atol=1e-5, rtol=1e-5)


def test_each_output_in_onnxruntime_is_that_of_its_task(run: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export = export_tasks(run, tmp_path / "bundle")
    session = runtime.InferenceSession(export.file, providers=["CPUExecutionProvider"])
    model = Model.from_pretrained(run)
    assert [output.name for output in session.get_outputs()] == list(model.tasks)
    for count in (1, 4):
        images = sample_images(count, 32, seed=count)
        found = session.run(None, {"images": images.numpy()})
        with torch.inference_mode():
            for value, expected in zip(found, model(images).values(), strict=True):
                assert value.dtype == np.float32
                np.testing.assert_allclose(value, expected.numpy(), atol=1e-4)
    texts = session.get_modelmeta().custom_metadata_map
    described = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert json.loads(texts["tasks"]) == described["tasks"]
    by_name = {task["name"]: task for task in described["tasks"]}
    assert by_name["things"]["outputs"] == list(model.tasks["things"].outputs)
    decision = model.tasks["things"].decision.to_dict()
    decision.pop("format")
    assert by_name["things"]["decision"] == decision
    of_class = model.tasks["kind"].decision
    assert by_name["kind"]["decision"]["calibration"]["temperature"] == of_class.temperature != 1
    assert by_name["count"]["scale"] == list(model.tasks["count"].scale)
    assert set(described["parity"]) == set(model.tasks)
    # the whole answer of the run, by the bundle alone
    image = run.parent / "images" / "20.png"
    ours, theirs = (Predictor.load(folder)(image) for folder in (tmp_path / "bundle", run))
    assert ours.answers["things"]["labels"] == theirs.answers["things"]["labels"]
    for name in ("things", "kind"):
        for label, chance in theirs.answers[name]["probabilities"].items():
            assert ours.answers[name]["probabilities"][label] == pytest.approx(chance, abs=1e-4)
    assert ours.answers["count"]["values"] == pytest.approx(theirs.answers["count"]["values"], 1e-4)
    assert ours.answers["order"]["sequence"] == theirs.answers["order"]["sequence"]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [None, 2])
def test_the_file_resizes_images_of_any_size(run: Path, tmp_path: Path, batch, capsys) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    words = ["export", str(run), "--output", str(tmp_path / "bundle"), "--preprocess"]
    assert main([*words, *(() if batch is None else ("--batch", str(batch)))]) == 0
    assert "resizing in the file: pixel values differ" in capsys.readouterr().out
    file = tmp_path / "bundle" / "model.onnx"
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    model = Model.from_pretrained(run)
    transform = model.preprocessing.transform()
    for sides in ((32, 32), (61, 40), (20, 77)):
        shape = (2, 3, *sides)
        images = torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).byte()
        found = session.run(None, {"images": images.numpy()})
        with torch.inference_mode():
            expected = model(torch.stack([transform(image) for image in images]))
        for value, own in zip(found, expected.values(), strict=True):
            # one level of 255 in some pixels, where onnxruntime rounds differently
            np.testing.assert_allclose(value, own.numpy(), atol=0.02, rtol=0.02)
    described = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert described["input"]["shape"][2:] == ["height", "width"]
    assert described["any_size"]
    assert described["resizing"]["largest_difference"] <= 1
    image = run.parent / "images" / "20.png"
    ours, theirs = (Predictor.load(place)(image) for place in (tmp_path / "bundle", run))
    expected = pytest.approx(theirs.answers["kind"]["probabilities"], abs=1e-4)
    assert ours.answers["kind"]["probabilities"] == expected


@pytest.mark.slow
def test_the_command_exports_and_refuses_in_one_line(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    words = ["export", str(run), "--output", str(tmp_path / "bundle"), "--batch", "2"]
    assert main(words) == 0
    assert "count: differs from the run's by up to" in capsys.readouterr().out
    assert ExportedTasks(tmp_path / "bundle").batch == 2
    image = str(run.parent / "images" / "20.png")
    assert main(["predict", str(tmp_path / "bundle"), image, "--format", "jsonl"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {
        "source",
        "things",
        "kind",
        "count",
        "order",
    }
    for more, message in {
        ("--preprocess", "--format", "pt2", "--overwrite"): "preprocess is for format onnx",
        ("--threshold", "0"): "--threshold: not for a run with several tasks",
        ("--max-loss", "2"): "--max-loss 2: only with --quantize",
        ("--calibration-images", "val"): "--calibration-images val: only with --quantize",
        ("--batch", "-1", "--overwrite"): "batch=-1: must be at least 1",
        ("--format", "pt", "--overwrite"): "did you mean 'pt2'",
        (): "is not empty",
    }.items():
        assert main([*words, *more]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    file = tmp_path / "bundle" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="is not the file that bundle"):
        Predictor.load(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "BUNDLE", "IMAGE", "--task", "things"], "cannot be explained: give the run"),
        (["evaluate", "BUNDLE", "--data", "csv", "--root", "x"], "which only predicts: give the"),
        (["predict", "BUNDLE", "IMAGE", "--threshold", "0.2"], "threshold is not for them"),
    ],
)
def test_a_bundle_only_predicts(words, message: str, bundle: Path, run: Path, capsys) -> None:
    given = {"BUNDLE": str(bundle), "IMAGE": str(run.parent / "images" / "20.png")}
    assert main([given.get(word, word) for word in words]) == 2
    found = capsys.readouterr().err
    assert message in found
    assert found.count("\n") == 1


def test_a_program_of_torch_gives_the_outputs_of_the_run(run: Path, bundle: Path) -> None:
    program = torch.export.load(bundle / "model.pt2").module()
    model = Model.from_pretrained(run)
    for count in (1, 4):
        images = sample_images(count, 32, seed=count)
        with torch.inference_mode():
            for value, expected in zip(program(images), model(images).values(), strict=True):
                torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)
    images = [run.parent / "images" / f"{k}.png" for k in range(3)]
    ours, theirs = (Predictor.load(place)(images) for place in (bundle, run))
    for one, other in zip(ours, theirs, strict=True):
        assert one.answers["kind"]["class"] == other.answers["kind"]["class"]
        expected = pytest.approx(other.answers["kind"]["probabilities"], abs=1e-4)
        assert one.answers["kind"]["probabilities"] == expected
        assert one.answers["count"]["values"] == pytest.approx(other.answers["count"]["values"])


def test_half_precision_halves_the_file(run: Path, bundle: Path, tmp_path: Path) -> None:
    half = export_tasks(run, tmp_path / "half", format="pt2", half=True)
    assert half.size < 0.6 * (bundle / "model.pt2").stat().st_size
    assert all(each.greatest_difference > 0 for each in half.parity.values())
    assert json.loads((tmp_path / "half" / "bundle.json").read_text())["precision"] == "float16"
    image = run.parent / "images" / "20.png"
    ours, theirs = (Predictor.load(place)(image) for place in (tmp_path / "half", run))
    expected = pytest.approx(theirs.answers["count"]["values"], abs=0.1)
    assert ours.answers["count"]["values"] == expected


def test_an_image_is_explained_for_a_task(run: Path, tmp_path: Path, capsys) -> None:
    predictor = Predictor.load(run)
    image = run.parent / "images" / "20.png"
    model, answer = predictor.model, predictor(image).answers["kind"]
    found = predictor.explain(image, task="kind", top=2)
    assert [each.label for each in found.labels] == sorted(
        answer["probabilities"], key=lambda name: -answer["probabilities"][name]
    )
    one = alone(model, "kind")
    pixels = torch.from_numpy(found.image).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = model(pixels)["kind"][0]
        union = one(pixels)[0]  # of all labels of the graph, through the adapter
    for each in found.labels:
        assert each.logit == pytest.approx(float(union[one.labels.index(each.label)]), abs=1e-4)
        assert each.logit == pytest.approx(
            float(logits[model.tasks["kind"].outputs.index(each.label)]), abs=1e-4
        )
        assert each.probability == pytest.approx(answer["probabilities"][each.label], abs=1e-5)
    sources = {n.source for each in found.labels for n in each.neighbours}
    assert sources & set(model.tasks["things"].outputs)  # labels of the other task
    words = ["explain", str(run), str(image)]
    assert main([*words, "--task", "things", "--output", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["labels"]
    capsys.readouterr()
    for more, message in {
        (): "give --task (task=…), one of things, kind",
        ("--task", "count"): "kind=regression: has no logit per label",
        ("--task", "thing"): "did you mean 'things'",
        ("--task", "things", "--label", "many"): "unknown label 'many'",
    }.items():
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err
    assert main(["explain", str(run)]) == 2
    assert "give an image, and --task" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch, about nn.LSTM
@pytest.mark.parametrize(
    "head",
    [
        {"name": "rnn", "hidden": 8},
        {"name": "transformer", "hidden": 8, "heads": 2, "layers": 2},
        {"name": "transformer", "hidden": 8, "heads": 2, "beam": 3},
    ],
    ids=["rnn", "transformer", "beam"],
)
def test_a_head_that_decodes_is_exported_with_its_decoding(head: dict, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    root = write_table(tmp_path)
    tasks = [{**TASKS[3], "head": head}]
    folder = train_tasks(config(root, root / "run", tasks=tasks, **{"run.epochs": 1})).folder
    images = [root / "images" / f"{k}.png" for k in range(3)]
    for form in ("onnx", "pt2"):
        export_tasks(folder, tmp_path / form, format=form)
        ours, theirs = (Predictor.load(place)(images) for place in (tmp_path / form, folder))
        for one, other in zip(ours, theirs, strict=True):
            mine, its = one.answers["order"], other.answers["order"]
            assert mine["sequence"] == its["sequence"]
            assert mine["score"] == pytest.approx(its["score"], 1e-4)
    with pytest.raises(InputError, match="half: not for the task 'order', whose head decodes"):
        export_tasks(folder, tmp_path / "half", half=True)
