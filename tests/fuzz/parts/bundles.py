"""Exported bundles: the description, the ONNX file, the pt2 archive."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

from gatlabel.deploy import ExportedModel, Predictor
from tests.fuzz.archives import Member, corrupt_zip
from tests.fuzz.case import Case
from tests.fuzz.parts.runs import corrupted_member
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.trees import corrupt_tree, json_bytes

CODE = "__import__('os').system('touch run')"
WORDS: tuple[Any, ...] = (
    *("uint8", "float32", "squash", "RGB", "images", "logits", 3, 24, 0.5, CODE, f"s0 + {CODE}"),
    *("torch.ops.aten.add.Tensor", "torch.ops.aten.from_file.default", "9**9**9", "operator.add"),
    *("torch.ops.aten.save.default", "math.sqrt", "_operator.attrgetter", f"x\n{CODE}", "s0 // 0"),
)


def bundles(case: Case) -> None:
    """Corrupts one file of a bundle, and loads or uses it."""
    rng = case.rng
    form = rng.choice(("onnx", "onnx", "pt2"))
    bundle = case.given / "bundle"
    shutil.copytree(case.samples.bundles[form], bundle)
    file = rng.choice(("bundle.json", *(path.name for path in bundle.iterdir()), f"model.{form}"))
    path = bundle / file
    path.write_bytes(_corrupted(rng, path, str(case.samples.secret)))
    use = rng.choice(("load", "predictor", "predict"))
    if use == "load":
        case.call(ExportedModel.load, bundle)
    elif use == "predict":
        case.command("predict", bundle, case.samples.data / "images" / "1.png")
    else:
        predictor = case.call(Predictor.load, bundle)
        if predictor is not None:
            case.call(predictor, case.samples.images["plain.png"])


def _corrupted(rng: Random, path: Path, secret: str) -> bytes:
    data = path.read_bytes()
    if rng.random() < 0.3:
        return corrupt(rng, data)
    if path.suffix == ".json":
        return json_bytes(rng, corrupt_tree(rng, json.loads(data), (*WORDS, secret)))
    if path.suffix == ".onnx":
        return _corrupted_onnx(rng, data, secret)
    return corrupt_zip(rng, data, _member)


def _member(rng: Random, member: Member) -> bytes:
    """Other content for a member of a pt2 archive."""
    if member[0].endswith(".json") and rng.random() < 0.85:
        return json_bytes(rng, corrupt_tree(rng, json.loads(member[1]), WORDS))
    return corrupted_member(rng, member)


def _corrupted_onnx(rng: Random, data: bytes, secret: str) -> bytes:
    """A model that can be parsed but has other content."""
    import onnx

    model = onnx.load_model_from_string(data)
    for _ in range(rng.choice((1, 1, 2))):
        _change_model(rng, model, secret)
    return bytes(model.SerializeToString())


def _change_model(rng: Random, model: Any, secret: str) -> None:
    import onnx

    graph = model.graph
    node, weight = rng.choice(graph.node), rng.choice(graph.initializer)
    value = rng.choice((*graph.input, *graph.output))
    text = rng.choice(("", "x", "Loop", "If", "Scan", "Identity", "Conv", "\0", "a" * 300, CODE))
    kind = rng.randrange(13)
    if kind == 0:
        node.op_type = text
    elif kind == 1:
        node.domain = rng.choice(("", "com.microsoft", "ai.onnx.ml", "x"))
    elif kind == 2:
        node.input[rng.randrange(len(node.input))] = rng.choice(graph.node).output[0]
    elif kind == 3 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i, attribute.type = rng.choice((-1, 0, 2**31, 2**62)), onnx.AttributeProto.INT
    elif kind == 4:
        weight.dims[:] = rng.choice(([], [0], [-1], [2**40], [2**31, 2**31], [3, 3]))
    elif kind == 5:
        weight.data_type = rng.randrange(24)
    elif kind == 6:  # weights that lie in another file
        weight.data_location = onnx.TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", rng.choice((secret, "../secret.txt", "bundle.json"))
        weight.ClearField("raw_data")
    elif kind == 7:
        weight.raw_data = corrupt(rng, weight.raw_data)
    elif kind == 8:
        value.name = text
    elif kind == 9 and value.type.tensor_type.shape.dim:
        rng.choice(value.type.tensor_type.shape.dim).dim_value = rng.choice((0, 1, 5, 2**40))
    elif kind == 10:
        value.type.tensor_type.elem_type = rng.randrange(24)
    elif kind == 11:
        model.opset_import[0].version = rng.choice((0, 1, 7, 13, 21, 99, 2**40))
    else:
        entry = rng.choice(model.metadata_props) if model.metadata_props else None
        if entry is not None:
            entry.value = corrupt(rng, entry.value.encode()).decode("utf-8", "replace")
