"""Quantization of ONNX files to 8-bit integers by onnxruntime, and the mAP it costs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.data import ImageSource
from gatlabel.data.decoding import decode_image
from gatlabel.deploy.description import INPUT
from gatlabel.deploy.inputs import Unreadable
from gatlabel.deploy.onnx_file import quiet_logs
from gatlabel.deploy.sources import Sources, images_of
from gatlabel.errors import InputError, first_line, require_extra, unknown_choice
from gatlabel.inference import outputs, predict_logits, whole_images
from gatlabel.metrics import harden, mean_average_precision
from gatlabel.model import MultiLabelClassifier
from gatlabel.values import finite_number, whole_number

MOST_IMAGES = 128
"""Default number of calibration images; more hardly change the ranges of activations."""

_HEAD = ".head."  # in the names of a head's weights, as written by torch.export


@dataclass(frozen=True)
class Quantization:
    """Options of quantization to 8-bit integers, with the mAP it may cost.

    Attributes:
        mode: ``"static"``: weights and activations of the encoder, with ranges from calibration
            images; 2 to 5 times as fast on processors with VNNI. ``"dynamic"``: weights of linear
            layers only, with activations scaled per batch; for transformer encoders, useless for
            convolutional ones.
        evaluation: Labelled images to measure mAP on before and after. They should differ from the
            calibration images.
        calibration: For ``"static"``: 50 to 200 images like the training images, without labels: a
            folder, a pattern, paths, or a source.
        max_loss: Points of mAP that may be lost; with a larger loss, the export fails.
        images: Maximum number of calibration images, spread evenly over those given.

    Raises:
        InputError: If a value is out of range, or calibration images are missing or superfluous.
    """

    mode: Literal["static", "dynamic"]
    evaluation: ImageSource
    calibration: Sources | ImageSource | None = None
    max_loss: float = 1.0
    images: int = MOST_IMAGES

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_choice("quantization", self.mode, MODES)
        if (self.mode == "static") != (self.calibration is not None):
            verb = "needs" if self.mode == "static" else "does not use"
            raise InputError(f"{self.mode} quantization {verb} calibration images")
        finite_number(self.max_loss, "max_loss")
        whole_number(self.images, "images", 1)


@dataclass(frozen=True)
class MeasuredLoss:
    """mAP before and after quantization.

    Attributes:
        before: mAP of the model, 0 to 1.
        after: mAP of the exported file.
        images: Number of images that both were measured on.
        max_loss: Points that may be lost.
    """

    before: float
    after: float
    images: int
    max_loss: float

    @property
    def points(self) -> float:
        """Points of mAP that are lost; negative for a gain."""
        return 100 * (self.before - self.after)

    def to_dict(self) -> dict[str, Any]:
        """Returns primitive values for ``bundle.json``."""
        return {**vars(self), "points": self.points}


def quantize(path: Path, model: MultiLabelClassifier, how: Quantization) -> Any:
    """Quantizes an ONNX file.

    Args:
        path: The float32 file.
        model: The exported model; calibration images use its preprocessing.
        how: The options.

    Returns:
        The quantized ``onnx.ModelProto``, without metadata.

    Raises:
        InputError: If onnxruntime fails, or a calibration image cannot be read.
        MissingExtraError: If the extra ``onnx`` is not installed.
    """
    onnx = require_extra("onnx", "onnx")
    with tempfile.TemporaryDirectory() as folder, quiet_logs():
        ready, written = Path(folder) / "ready.onnx", Path(folder) / "quantized.onnx"
        try:
            tools = require_extra("onnxruntime.quantization.shape_inference", "onnx")
            # folds batch norms into convolutions, so that both are quantized together
            tools.quant_pre_process(path, ready, skip_symbolic_shape=True)
            MODES[how.mode](ready, written, model, how)
        except InputError:
            raise
        except Exception as error:  # onnxruntime's errors have no common class
            raise InputError(
                f"onnxruntime cannot quantize the model: {first_line(error)}"
            ) from error
        return onnx.load(written)


def _static(ready: Path, written: Path, model: MultiLabelClassifier, how: Quantization) -> None:
    tools = require_extra("onnxruntime.quantization", "onnx")
    batch = _fixed_batch(ready)

    class Reader(tools.CalibrationDataReader):  # type: ignore[name-defined]
        """Returns the calibration images one by one, repeated to a fixed batch."""

        def __init__(self) -> None:
            self.images = _calibration_images(model, how)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self.images, None)
            return None if image is None else {INPUT: np.repeat(image, batch, axis=0)}

    tools.quantize_static(
        ready,
        written,
        Reader(),
        per_channel=True,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        nodes_to_exclude=_head_nodes(ready),
    )


def _dynamic(ready: Path, written: Path, model: MultiLabelClassifier, how: Quantization) -> None:
    tools = require_extra("onnxruntime.quantization", "onnx")
    # not convolutions: in onnxruntime they are five times slower than in float32
    tools.quantize_dynamic(
        ready,
        written,
        weight_type=tools.QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_exclude=_head_nodes(ready),
    )


MODES: dict[str, Callable[[Path, Path, MultiLabelClassifier, Quantization], None]] = {
    "static": _static,
    "dynamic": _dynamic,
}


def _fixed_batch(path: Path) -> int:
    """Returns the fixed batch size of a file; 1 if it takes any."""
    graph = require_extra("onnx", "onnx").load(path).graph
    size = next(each for each in graph.input if each.name == INPUT).type.tensor_type.shape.dim[0]
    return int(size.dim_value) or 1


def _head_nodes(path: Path) -> list[str]:
    """Returns the nodes of the head, which are not quantized.

    They take little time, and their errors would directly change the logits. They are the nodes
    that use a weight of the head, and all nodes after them.
    """
    graph = require_extra("onnx", "onnx").load(path).graph
    of_head: set[str] = set()
    found = []
    for node in graph.node:  # in the order of computation
        if any(name in of_head or _HEAD in name for name in node.input):
            of_head.update(node.output)
            found.append(node.name)
    return found


def _calibration_images(
    model: MultiLabelClassifier, how: Quantization
) -> Iterator[NDArray[np.uint8]]:
    """Yields images ``(1, 3, S, S)``, resized as in evaluation."""
    given = how.calibration
    if isinstance(given, ImageSource):
        source = given.subset(_spread(len(given), how.images))
        for batch in whole_images(model, source, batch_size=1):
            yield batch.inputs["image"].numpy()
        return
    assert given is not None
    transform = model.preprocessing.transform()
    names = list(images_of(given))
    for position in _spread(len(names), how.images):
        image = names[position]
        if isinstance(image, Unreadable):
            raise InputError(image.reason)
        if not isinstance(image, str | bytes | os.PathLike):
            raise InputError("give calibration images as files, folders, patterns or bytes")
        pixels = decode_image(image, at_least=2 * model.image_size)
        yield transform(pixels)[None].numpy()


def _spread(count: int, most: int) -> list[int]:
    if count == 0:
        raise InputError("there are no calibration images")
    places: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return places


def measured_loss(
    exported: Callable[[Tensor], Tensor], model: MultiLabelClassifier, how: Quantization
) -> MeasuredLoss:
    """Measures the mAP of a model before and after quantization on the same images.

    Raises:
        InputError: If the images have none of the labels, or no label has positives there.
    """
    source = how.evaluation
    order = [source.labels.index(n) if n in source.labels else -1 for n in model.labels]
    if max(order) < 0:
        raise InputError("the images to measure mAP on have none of the model's labels")
    targets = harden(source.targets.columns(order).to_dense())
    before = predict_logits(model, source)
    after = torch.cat(list(outputs(exported, _images(whole_images(model, source)))))
    values = [float(mean_average_precision(each, targets).value) for each in (before, after)]
    if not np.isfinite(values).all():
        raise InputError(
            "mAP is not defined on the images to measure it on: no label has positives"
        )
    return MeasuredLoss(values[0], values[1], len(source), how.max_loss)


def _images(batches: Iterable[Any]) -> Iterator[Tensor]:
    for batch in batches:
        yield batch.inputs["image"]
