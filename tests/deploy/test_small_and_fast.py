"""Bundles with a fixed batch, with resizing inside, in half precision, in 8-bit integers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatlabel.data import FileImages
from gatlabel.deploy import ExportedModel, Predictor, export_model
from gatlabel.deploy.onnx_resizing import BODIES, resizing_model
from gatlabel.deploy.quantization import Quantization, _head_nodes
from gatlabel.deploy.resizing import prepared
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.model import MultiLabelClassifier
from tests.deploy.models import LABELS, SIZE, make, photos, random_images

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_a_fixed_batch_is_filled_up(form: str, tmp_path: Path) -> None:
    model = make("gat")
    export_model(model, tmp_path / "bundle", format=form, batch=4)
    content = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert content["input"]["shape"] == [4, 3, SIZE, SIZE]
    assert content["output"]["shape"] == [4, len(LABELS)]
    assert content["parity"]["batch_sizes"] == [4]
    loaded = ExportedModel.load(tmp_path / "bundle")
    assert Predictor(loaded).batch_size == 4
    for count in (1, 4, 6):
        images = random_images(count)
        with torch.no_grad():
            torch.testing.assert_close(loaded(images), model(images), rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="batch=0"):
        export_model(model, tmp_path / "other", batch=0)


@pytest.mark.parametrize("size", [24, 65])
@pytest.mark.parametrize("resize", BODIES)
def test_resizing_in_onnx_is_that_of_evaluation(resize: str, size: int) -> None:
    class Like:
        ir_version = 10
        opset_import = (onnx.helper.make_opsetid("", 18),)

    model = resizing_model(size, resize, None, Like)
    onnx.checker.check_model(model)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(0)
    shapes = [
        (size, size),
        (3 * size, 2 * size),
        (size // 2, size),
        (1, 1),
        (9 * size, 3),
        (7, 300),
    ]
    for height, width in shapes:
        images = random.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        (found,) = session.run(None, {"images": images.transpose(0, 3, 1, 2)})
        assert found.dtype == np.uint8
        for one, image in zip(found, images, strict=True):
            expected = prepared(image, size, resize)  # type: ignore[arg-type]
            difference = np.abs(one.transpose(1, 2, 0).astype(int) - expected)
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.03


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_a_bundle_that_resizes_answers_as_the_predictor(resize: str, tmp_path: Path) -> None:
    model = make("gat", resize=resize)
    export = export_model(model, tmp_path / "bundle", preprocess=True)
    assert export.resizing is not None
    assert export.resizing.largest_difference <= 1
    content = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert content["input"]["shape"] == ["batch", 3, "height", "width"]
    assert content["resizing"]["largest_difference"] == export.resizing.largest_difference
    (tmp_path / "photos").mkdir()
    paths = [*photos(tmp_path / "photos"), *photos(tmp_path, 31, 150)]
    predictor = Predictor.load(tmp_path / "bundle")
    for one, other in zip(predictor(paths), Predictor(model)(paths), strict=True):
        values = list(other.probabilities.values())
        assert list(one.probabilities.values()) == pytest.approx(values, abs=5e-3)
    # without this package: bytes of an image of any size
    session = runtime.InferenceSession(export.file, providers=["CPUExecutionProvider"])
    image = random_images(1, 50)[:, :, :40].numpy()
    (logits,) = session.run(["logits"], {"images": image})
    assert predictor.logits(image) == pytest.approx(logits, abs=1e-5)
    with pytest.raises(InputError, match=r"takes uint8 images \(B, 3, height, width\)"):
        predictor.logits(image[0])


@pytest.mark.parametrize("form", ["onnx", "pt2"])
@pytest.mark.parametrize("head", ["gat", "conditioned"])
def test_half_precision_is_half_the_size(form: str, head: str, tmp_path: Path) -> None:
    model = make(head)
    export = export_model(model, tmp_path / "bundle", format=form, half=True)
    assert export.parity.tolerance == 2e-2
    assert 0 < export.parity.greatest_difference < 0.02 * max(1, export.parity.greatest_logit)
    loaded = ExportedModel.load(tmp_path / "bundle", device="cpu")
    assert loaded.description.precision == "float16"
    assert loaded(random_images(2)).dtype == torch.float32
    if form == "onnx":
        weights = onnx.load(export.file).graph.initializer
        large = [each for each in weights if np.prod(each.dims) > 100]
        assert {each.data_type for each in large} == {onnx.TensorProto.FLOAT16}


class Separable(nn.Module):
    """Convolutions enough to be quantized, quick enough to test."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layers(images).relu()
        return found


@pytest.fixture
def model() -> MultiLabelClassifier:
    torch.manual_seed(0)
    encoder = Encoder.from_module(Separable(), 32, image_size=32)
    return MultiLabelClassifier.create(encoder, "linear", labels=["a", "b"]).eval()


@pytest.fixture
def source(tmp_path: Path, model: MultiLabelClassifier) -> FileImages:
    """Images whose targets are what the model finds, so that its mAP is 1."""
    (tmp_path / "photos").mkdir()
    paths = photos(tmp_path / "photos")
    names = [path.name for path in paths]
    found = Predictor(model)(paths)
    scores = np.array([list(each.probabilities.values()) for each in found])
    targets = (scores > np.median(scores, 0)).astype(np.float32)
    return FileImages(tmp_path / "photos", LabelSet(["a", "b"]), names, targets)


def test_static_quantization(
    model: MultiLabelClassifier, source: FileImages, tmp_path: Path
) -> None:
    how = Quantization("static", source, calibration=str(tmp_path / "photos"), max_loss=50)
    export = export_model(model, tmp_path / "int8", quantization=how)
    assert export.loss is not None
    assert export.loss.before == 1
    assert export.loss.points == pytest.approx(100 * (1 - export.loss.after))
    content = json.loads((tmp_path / "int8" / "bundle.json").read_text(encoding="utf-8"))
    assert content["precision"] == "int8-static"
    assert content["quantization"]["after"] == export.loss.after
    graph = onnx.load(export.file).graph
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) >= 2
    kinds = {each.name: each.data_type for each in graph.initializer if each.dims[2:] == [3, 3]}
    assert set(kinds.values()) == {onnx.TensorProto.INT8}
    heads = [each for each in graph.initializer if list(each.dims) in ([2, 32], [32, 2])]
    assert [each.data_type for each in heads] == [onnx.TensorProto.FLOAT]  # exact
    images = random_images(4, 32)
    with torch.no_grad():
        exact = model(images)
    found = ExportedModel.load(tmp_path / "int8")(images)
    assert 0 < (found - exact).abs().max() < 0.1 * exact.abs().max()
    both = export_model(
        model,
        tmp_path / "both",
        quantization=Quantization("static", source, source, 50),
        preprocess=True,
        batch=1,
    )
    assert both.resizing is not None
    assert Predictor.load(tmp_path / "both")(tmp_path / "photos" / "0.jpg").ok


def test_a_loss_above_the_limit_is_refused(
    model: MultiLabelClassifier, source: FileImages, tmp_path: Path
) -> None:
    turned = FileImages(source.root, source.labels, source.ids, 1 - source.targets.to_dense())
    how = Quantization("static", turned, source, max_loss=-100)
    with pytest.raises(InputError, match=r"points of mAP .* on 5 images.*nothing is exported"):
        export_model(model, tmp_path / "int8", quantization=how)
    assert not (tmp_path / "int8").exists()


def test_dynamic_quantization_leaves_convolutions(
    model: MultiLabelClassifier, source: FileImages, tmp_path: Path
) -> None:
    export = export_model(
        model, tmp_path / "int8", quantization=Quantization("dynamic", source, max_loss=50)
    )
    graph = onnx.load(export.file).graph
    assert "ConvInteger" not in {node.op_type for node in graph.node}
    assert export.loss is not None
    assert export.loss.points == pytest.approx(0, abs=1e-9)


def test_nodes_of_the_head_are_found(tmp_path: Path) -> None:
    file = export_model(make("conditioned"), tmp_path / "bundle").file
    named = onnx.load(file)
    for place, node in enumerate(named.graph.node):
        node.name = node.name or str(place)
    onnx.save(named, tmp_path / "named.onnx")
    found = _head_nodes(tmp_path / "named.onnx")
    kinds = {node.name: node.op_type for node in named.graph.node}
    assert 0 < len(found) < len(kinds)
    assert named.graph.node[-1].name in found
    first = next(node.name for node in named.graph.node if node.op_type == "Conv")
    assert first not in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "statik"}, "did you mean 'static'"),
        ({"mode": "static", "calibration": None}, "needs calibration images"),
        ({"mode": "dynamic"}, "does not use calibration images"),
        ({"mode": "static", "max_loss": float("nan")}, "max_loss"),
        ({"mode": "static", "images": 0}, "images=0"),
    ],
)
def test_wrong_quantization(options: dict, message: str, source: FileImages) -> None:
    with pytest.raises(InputError, match=message):
        Quantization(**{"evaluation": source, "calibration": source} | options)


def test_what_does_not_go_together(
    model: MultiLabelClassifier, source: FileImages, tmp_path: Path
) -> None:
    how = Quantization("static", source, source)
    for options, message in (
        ({"format": "pt2", "preprocess": True}, "preprocess is for format onnx"),
        ({"format": "pt2", "quantization": how}, "quantization is for format onnx"),
        ({"half": True, "quantization": how}, "exclude each other"),
        (
            {"quantization": Quantization("static", source, str(tmp_path / "*.gone"))},
            "no file matches",
        ),
    ):
        with pytest.raises(InputError, match=message):
            export_model(model, tmp_path / "bundle", **options)
    assert not (tmp_path / "bundle").exists()
