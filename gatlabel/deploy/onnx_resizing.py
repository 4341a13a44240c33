"""Resizing as part of an ONNX file: from uint8 images of any size to the size of the model.

The graph computes the sizes and offsets of :func:`gatlabel.deploy.resizing.prepared` with integers
and float64. The resizing itself is the operator ``Resize`` with ``antialias``, whose fixed-point
arithmetic occasionally differs from torch's by one level of 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatlabel.deploy.description import INPUT, Described
from gatlabel.deploy.onnx_file import save_onnx
from gatlabel.deploy.resizing import prepared
from gatlabel.encoders.preprocessing import Preprocessing
from gatlabel.encoders.sizes import LONGEST, MEAN_COLOUR
from gatlabel.errors import InputError, require_extra

PREPARED = "prepared"
MOST_LEVELS = 1
"""Allowed difference of a resized value, in levels of 255."""

_RESIZE = """resized = Resize
    <mode="linear", antialias=1, exclude_outside=1, axes=[2, 3]>"""
_SQUASH = f"""
  {_RESIZE} ({INPUT}, "", "", size)
  {PREPARED} = Identity (resized)
"""
_PAD = f"""
  sides = Shape <start=2> ({INPUT})
  longer = ReduceMax <keepdims=1> (sides)
  area = Mul (sides, size)
  exact_area = Cast <to=11> (area)
  exact_longer = Cast <to=11> (longer)
  exact = Div (exact_area, exact_longer)
  nearest = Round (exact)
  rounded = Cast <to=7> (nearest)
  inner = Max (rounded, one)
  {_RESIZE} ({INPUT}, "", "", inner)
  free = Sub (size, inner)
  before = Div (free, two)
  after = Sub (free, before)
  pads = Concat <axis=0> (before, after)
  padded = Pad (resized, pads, black, axes)
  whole = ConstantOfShape <value = bool[1] {{1}}> (inner)
  inside = Pad (whole, pads, outside)
  {PREPARED} = Where (inside, padded, colour)
"""
_CROP = f"""
  sides = Shape <start=2> ({INPUT})
  shorter = ReduceMin <keepdims=1> (sides)
  longest = Mul (shorter, ratio)
  kept = Min (sides, longest)
  spare = Sub (sides, kept)
  first = Div (spare, two)
  last = Add (first, kept)
  centre = Slice ({INPUT}, first, last, axes)
  kept_shorter = ReduceMin <keepdims=1> (kept)
  area = Mul (kept, size)
  larger = Div (area, kept_shorter)
  {_RESIZE} (centre, "", "", larger)
  rest = Sub (larger, size)
  exact_rest = Cast <to=11> (rest)
  half = Div (exact_rest, exact_two)
  nearest = Round (half)
  offset = Cast <to=7> (nearest)
  end = Add (offset, size)
  {PREPARED} = Slice (resized, offset, end, axes)
"""
BODIES = {"squash": _SQUASH, "pad": _PAD, "crop": _CROP}


def resizing_model(size: int, resize: str, batch: int | None, like: Any) -> Any:
    """Returns an ONNX model that resizes images to the size of a model.

    Args:
        size: Side S of the result.
        resize: A name of :data:`BODIES`.
        batch: Number of images in a batch if it is fixed.
        like: The ONNX model to prepend it to; it gets the same versions.

    Returns:
        A model from uint8 ``(B, 3, h, w)`` to uint8 ``(B, 3, S, S)``.

    Raises:
        MissingExtraError: If the extra ``onnx`` is not installed.
    """
    onnx = require_extra("onnx", "onnx")
    (opset,) = (each.version for each in like.opset_import if not each.domain)
    images = "batch" if batch is None else str(batch)
    colour = ", ".join(map(str, MEAN_COLOUR))
    text = f"""
<ir_version: {like.ir_version}, opset_import: ["": {opset}]>
resizing (uint8[{images}, 3, height, width] {INPUT})
  => (uint8[{images}, 3, {size}, {size}] {PREPARED})
<int64[2] size = {{{size}, {size}}}, int64[2] axes = {{2, 3}}, int64[2] one = {{1, 1}},
 int64[2] two = {{2, 2}}, int64[1] ratio = {{{LONGEST}}}, double[1] exact_two = {{2.0}},
 uint8 black = {{0}}, bool outside = {{0}}, uint8[1, 3, 1, 1] colour = {{{colour}}}>
{{{BODIES[resize]}}}
"""
    model = onnx.parser.parse_model(text)
    used = {name for node in model.graph.node for name in node.input}
    for constant in [each for each in model.graph.initializer if each.name not in used]:
        model.graph.initializer.remove(constant)
    return model


def with_resizing(model: Any, size: int, resize: str, batch: int | None) -> Any:
    """Returns the ONNX model with resizing prepended.

    Args:
        model: From uint8 ``(B, 3, S, S)`` to logits.
        size: S.
        resize: A name of :data:`BODIES`.
        batch: Number of images in a batch if it is fixed.
    """
    onnx = require_extra("onnx", "onnx")
    first = resizing_model(size, resize, batch, model)
    first = onnx.compose.add_prefix(first, "resizing/", rename_inputs=False, rename_outputs=False)
    # both have an input of this name; the file keeps the one for images of any size
    rest = onnx.compose.add_prefix(
        model,
        "model/",
        rename_nodes=False,
        rename_edges=False,
        rename_outputs=False,
        rename_initializers=False,
        rename_value_infos=False,
        rename_functions=False,
    )
    return onnx.compose.merge_models(first, rest, io_map=[(PREPARED, f"model/{INPUT}")])


@dataclass(frozen=True)
class ResizingParity:
    """Agreement of the resizing in a file with that of evaluation, on images of noise.

    Attributes:
        largest_difference: Largest difference of a value, in levels of 255.
        differing: Share of values that differ, 0 to 1.
        sizes: Heights and widths of the images.
    """

    largest_difference: int
    differing: float
    sizes: tuple[tuple[int, int], ...]


def measured_resizing(preprocessing: Preprocessing, like: Any) -> ResizingParity:
    """Compares resizing in ONNX, run by onnxruntime, with that of evaluation.

    Args:
        preprocessing: Preprocessing of evaluation.
        like: The ONNX model that the resizing is for.

    Raises:
        InputError: If a value differs by more than :data:`MOST_LEVELS`.
        MissingExtraError: If the extra ``onnx`` is not installed.
    """
    runtime = require_extra("onnxruntime", "onnx")
    size, resize = preprocessing.size, preprocessing.resize
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        resizing_model(size, resize, None, like).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    random = np.random.default_rng(0)
    sizes = (
        (size, size),
        (2 * size, 3 * size),
        (3 * size + 1, size),
        (size // 2 + 1, size),
        (9, 7),
    )
    largest, differing, values = 0, 0, 0
    for height, width in sizes:
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = prepared(image, size, resize)  # type: ignore[arg-type]
        (found,) = session.run(None, {INPUT: image.transpose(2, 0, 1)[None]})
        difference = np.abs(found[0].transpose(1, 2, 0).astype(np.int16) - expected)
        largest = max(largest, int(difference.max()))
        differing += int((difference > 0).sum())
        values += difference.size
    if largest > MOST_LEVELS:
        raise InputError(
            f"onnxruntime resizes differently from evaluation: values differ by up to {largest} of "
            f"255, allowed is {MOST_LEVELS}; export without preprocessing in the file"
        )
    return ResizingParity(largest, differing / values, sizes)


def with_preprocessing(file: Path, description: Described) -> ResizingParity:
    """Prepends resizing as in evaluation to the model in an ONNX file, and measures it.

    Args:
        file: The file, which is replaced.
        description: Of the model, also written to the file.

    Raises:
        InputError: If a value differs by more than :data:`MOST_LEVELS`.
        MissingExtraError: If the extra ``onnx`` is not installed.
    """
    model = require_extra("onnx", "onnx").load(file)
    fed = description.preprocessing
    measured = measured_resizing(fed, model)
    save_onnx(with_resizing(model, fed.size, fed.resize, description.batch), description, file)
    return measured
