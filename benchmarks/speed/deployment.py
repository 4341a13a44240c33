"""Exported models beside PyTorch's and a plain classifier's: parity, latency, 8-bit integers.

    python benchmarks/speed/deployment.py [--quick] [--alone efficientnet_lite0]

EfficientNet-Lite0, ResNet-18 and timm's MobileNetV3-Small at 224 pixels, with the heads linear,
gat (folded), query and conditioned over 20 labels of VOC. Latency of one image, in turn, one
thread: the ONNX file of each head; the model in PyTorch, with its graph and folded; and a plain
classifier, which is the same network with torch.nn.Linear after pooling, exported with
torch.onnx.export by itself and run by onnxruntime. "onnx plain again" is the plain classifier
beside itself: the spread by chance. Then static and dynamic quantization of the linear head; mAP
before and after the former is measured where pretrained weights are at hand: EfficientNet-Lite0
with a ridge classifier on 508 photographs of ../shared/data/voc2007-part (GATLABEL_SHARED says
where), on its 488 photographs of val.
Writes benchmarks/results/deployment.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from measuring import RESULTS, arguments, timed
from torch import nn

from gatlabel import MultiLabelClassifier
from gatlabel.data import FileImages, read_csv
from gatlabel.deploy import export_model
from gatlabel.deploy.quantization import Quantization, quantize
from gatlabel.experiments.environment import environment
from gatlabel.files import write_json
from gatlabel.graph import Cooccurrence
from gatlabel.inference import predict_features

SHARED = Path(os.environ.get("GATLABEL_SHARED", "../shared")) / "data" / "voc2007-part"
ENCODERS = {"efficientnet_lite0": "default", "resnet18": None, "timm:mobilenetv3_small_100": None}
HEADS = ("linear", "gat", "query", "conditioned")
SIZE = 224


class Plain(nn.Module):
    """What one would export without this package: floats in, one linear layer after pooling."""

    def __init__(self, model: MultiLabelClassifier) -> None:
        super().__init__()
        self.trunk, self.linear = model.encoder.trunk, nn.Linear(model.head.in_features, 20)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From normalised images to logits."""
        logits: torch.Tensor = self.linear(self.trunk(images).mean((2, 3)))
        return logits


def session(path: Path) -> onnxruntime.InferenceSession:
    """Opens a file with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def of_encoder(name: str, weights: str | None, splits: Any, place: Path, rounds: int) -> Any:
    """Measures all heads on one encoder."""
    counts = Cooccurrence.from_targets(splits["train"].targets, splits["train"].labels.names)
    graph = counts.graph("conditional", top_k=5)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, SIZE, SIZE), dtype=np.uint8)
    pixels = torch.from_numpy(image)
    methods: dict[str, Any] = {}
    found: dict[str, Any] = {"parity": {}}
    for head in HEADS:
        torch.manual_seed(0)
        model = MultiLabelClassifier.create(
            name, head, graph=graph, weights=weights, image_size=SIZE
        ).eval()
        export = export_model(model, place / head)
        found["parity"][head] = {
            "folded": export.folded,
            "greatest_difference": export.parity.greatest_difference,
            "greatest_logit": export.parity.greatest_logit,
            "MB": round(export.size / 1e6, 1),
        }
        methods[f"onnx {head}"] = _of(session(export.file), "images", image)
        if head in ("linear", "gat"):
            methods[f"torch {head}"] = lambda model=model: model(pixels)
        if head == "gat":
            folded = model.fold()
            methods["torch gat folded"] = lambda folded=folded: folded(pixels)
        if head == "linear":
            plain = Plain(model).eval()
            floats = model.encoder.normalize(pixels)
            torch.onnx.export(
                plain, (floats,), place / "plain.onnx", input_names=["images"], verbose=False
            )
            for what in ("onnx plain", "onnx plain again"):
                methods[what] = _of(session(place / "plain.onnx"), "images", floats.numpy())
            methods["torch plain"] = lambda plain=plain, floats=floats: plain(floats)
            found["int8"] = _int8(model, export.file, splits, place, methods, image, weights)
    with torch.inference_mode():
        times = timed(methods, rounds)
    found["ms"] = {
        what: {
            "median": round(1e3 * each.median, 2),
            "min": round(1e3 * min(each.runs), 2),
            "max": round(1e3 * max(each.runs), 2),
        }
        for what, each in times.items()
    }
    return found


def _of(opened: onnxruntime.InferenceSession, name: str, image: Any) -> Any:
    return lambda: opened.run(None, {name: image})


def _int8(
    model: MultiLabelClassifier,
    file: Path,
    splits: Any,
    place: Path,
    methods: dict[str, Any],
    image: Any,
    weights: str | None,
) -> dict[str, Any]:
    """Quantizes; measures mAP where the encoder is pretrained, with a ridge classifier."""
    import onnx

    found: dict[str, Any] = {}
    if weights is not None:
        fit_ridge(model, splits["train"])
    for mode in ("static", "dynamic"):
        how = Quantization(
            mode,  # type: ignore[arg-type]
            splits["val"],
            splits["train"] if mode == "static" else None,
            max_loss=100,
        )
        path = place / f"{mode}.onnx"
        if weights is not None and mode == "static":
            export = export_model(model, place / mode, quantization=how)
            assert export.loss is not None
            found[mode] = {**export.loss.to_dict(), "MB": round(export.size / 1e6, 1)}
            path = export.file
        else:
            quantized = quantize(file, model, how)
            onnx.save(quantized, path)
            found[mode] = {"MB": round(path.stat().st_size / 1e6, 1)}
        methods[f"onnx int8 {mode}"] = _of(session(path), "images", image)
    return found


def fit_ridge(model: MultiLabelClassifier, source: FileImages) -> None:
    """Fits the linear head in closed form: targets -1 and 1, penalty 1 on standardised features."""
    features = predict_features(model, source).double()
    targets = 2 * source.targets.to_dense().double().clamp(min=0) - 1
    mean, spread = features.mean(0), features.std(0).clamp(min=1e-6)
    scaled = (features - mean) / spread
    normal = scaled.T @ scaled + len(scaled) * torch.eye(scaled.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(normal, scaled.T @ (targets - targets.mean(0))).T / spread
    with torch.no_grad():
        model.head.linear.weight.copy_(weight)
        model.head.linear.bias.copy_(targets.mean(0) - weight @ mean)


def main() -> None:
    """Measures everything."""
    options = arguments(__doc__ or "")
    torch.set_num_threads(1)
    splits = dict(read_csv(SHARED).items())
    result: dict[str, Any] = {"environment": environment(0), "image_size": SIZE}
    chosen = [options.alone] if options.alone else list(ENCODERS)[: 1 if options.quick else None]
    for name in chosen:
        weights = ENCODERS[name]
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found = of_encoder(name, weights, splits, Path(folder), 3 if options.quick else 15)
        found["processor_seconds"] = round(time.process_time() - start)
        result[name] = found
        print(name, json.dumps(found), flush=True)
        if not options.quick:
            path = RESULTS / "deployment.json"
            if path.is_file():  # of encoders that were measured alone
                result = json.loads(path.read_text()) | result
            write_json(path, result)


if __name__ == "__main__":
    main()
