"""Format ``onnx``: written by torch's exporter, run by onnxruntime or other ONNX runtimes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.deploy.description import INPUT, OUTPUT, Described, Loaded, Opened, description_inside
from gatlabel.errors import InputError, first_line, require_extra

if TYPE_CHECKING:
    from torch.export import ExportedProgram

EXTRA = "onnx"
MOST_BYTES = 2**31 - 2**20  # limit of a protobuf message, minus a reserve for the graph


def write_onnx(program: ExportedProgram, description: Described, path: Path) -> None:
    """Writes one file with weights, labels and preprocessing.

    Args:
        program: From uint8 images to logits.
        description: Written to the file's ``metadata_props``, each value as JSON.
        path: The file.

    Raises:
        MissingExtraError: If the extra ``onnx`` is not installed.
        InputError: If the program has an operator that ONNX lacks, or weights above 2 GiB.
    """
    require_extra("onnx", EXTRA)
    import torch

    from gatlabel.deploy.onnx_operators import translations

    if sum(value.nbytes for value in program.state_dict.values()) > MOST_BYTES:
        raise InputError("an ONNX file holds at most 2 GiB of weights: export with format pt2")
    try:
        with quiet_logs():
            exported = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=list(description.outputs),
                dynamic_shapes=({0: "batch"},) if description.batch is None else None,
                custom_translation_table=translations(),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises errors of many classes
        raise InputError(
            f"the model cannot be written as ONNX ({first_line(error)}); format pt2 takes every "
            "operator of torch"
        ) from error
    assert exported is not None
    model = exported.model_proto
    _strip(model.graph)
    save_onnx(model, description, path)


def save_onnx(model: Any, description: Described, path: Path) -> None:
    """Writes an ONNX model with a description in its ``metadata_props``.

    Args:
        model: The ``onnx.ModelProto``.
        description: Each of its values is written as JSON.
        path: The file.
    """
    onnx = require_extra("onnx", EXTRA)
    values = {key: json.dumps(value) for key, value in description.to_dict().items()}
    onnx.helper.set_model_props(model, values)
    onnx.save(model, path)


def load_onnx(path: Path, device: str) -> Loaded:
    """Opens a file in onnxruntime, on the CPU.

    Args:
        path: The file.
        device: ``"cpu"``.

    Returns:
        The function that runs it, and its metadata.

    Raises:
        MissingExtraError: If the extra ``onnx`` is not installed.
        InputError: If onnxruntime cannot read the file, or it was not written here.
    """
    outputs_of, texts = open_onnx(path, device, [OUTPUT])
    return Loaded(lambda images: outputs_of(images)[0], description_inside(texts, path))


def open_onnx(path: Path, device: str, outputs: Sequence[str]) -> Opened:
    """Opens a file with given outputs; arguments and errors as :func:`load_onnx`.

    Returns:
        The function that runs it, with an array per output, and the texts of its metadata.
    """
    session, texts = open_session(path)

    def run(images: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
        found = session.run(list(outputs), {INPUT: np.ascontiguousarray(images)})
        return [np.asarray(value) for value in found]

    return run, texts


def open_session(path: Path) -> tuple[Any, dict[str, str]]:
    """Opens a file in onnxruntime, on the CPU.

    Returns:
        The session, and the texts of its metadata.

    Raises:
        MissingExtraError: If the extra ``onnx`` is not installed.
        InputError: If onnxruntime cannot read the file.
    """
    runtime = require_extra("onnxruntime", EXTRA)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only; it warns about missing devices
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        texts = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime's errors have no common class
        raise InputError(f"onnxruntime cannot read {path}: {first_line(error)}") from error
    return session, dict(texts)


def _strip(graph: Any) -> None:
    """Removes the exporter's metadata about the source code, which contain file paths."""
    for part in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for item in part:
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
    graph.ClearField("metadata_props")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _strip(attribute.g)


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Silences the developer logs of exporter and quantizer; errors are still raised.

    onnxruntime's quantizer logs to the root logger, which adds a handler on first use.
    """
    loggers = [logging.getLogger(name) for name in ("", "onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    handlers = list(loggers[0].handlers)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        loggers[0].handlers[:] = handlers
