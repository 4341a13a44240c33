"""Export of a run with several tasks to a bundle with one named output per task.

The bundle is the model file and ``bundle.json``; the file contains the same description.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatlabel.batch import IMAGE
from gatlabel.deploy.description import (
    FILE,
    INPUT,
    MOST_IN_A_BATCH,
    TASKS_FORMAT,
    Parity,
    sha256,
)
from gatlabel.deploy.export import bundle_files, check_options, check_place
from gatlabel.deploy.formats import Format, find_format
from gatlabel.deploy.onnx_resizing import ResizingParity, with_preprocessing
from gatlabel.deploy.parity import (
    BATCH_SIZES,
    HALF_TOLERANCE,
    TOLERANCE,
    check_tolerance,
    sample_images,
)
from gatlabel.deploy.tracing import trace_tasks
from gatlabel.encoders import Encoder
from gatlabel.encoders.preprocessing import Preprocessing
from gatlabel.errors import InputError
from gatlabel.files import atomic_folder, write_json
from gatlabel.model import Model
from gatlabel.model.head_folding import folded_model
from gatlabel.nn.heads.sequence import SequenceHead
from gatlabel.nn.label_sequences import BLOCKED
from gatlabel.tasks import MultiClassTask, MultiLabelTask, RegressionTask, SequenceTask, Task
from gatlabel.values import whole_number


@dataclass(frozen=True)
class TaskDescription:
    """The inputs and outputs of an exported model with several tasks.

    Attributes:
        model: The model.
        batch: Number of images in a batch if it is fixed; ``None``: any number.
        any_size: Whether the file also resizes, and takes images of any size.
        precision: ``float32`` or ``float16``: of weights and arithmetic.
    """

    model: Model
    batch: int | None = None
    any_size: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.batch is not None:
            whole_number(self.batch, "batch", 1, MOST_IN_A_BATCH)

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the outputs: those of the tasks."""
        return tuple(self.model.tasks)

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of images."""
        assert self.model.preprocessing is not None
        return self.model.preprocessing

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        fed = self.preprocessing
        sides = ["height", "width"] if self.any_size else [fed.size, fed.size]
        encoder = self.model.encoders[IMAGE]
        assert isinstance(encoder, Encoder)
        batch = "batch" if self.batch is None else self.batch
        return {
            "format": TASKS_FORMAT,
            "tasks": [task_entry(task, batch) for task in self.model.tasks.values()],
            "input": {
                "name": INPUT,
                "dtype": "uint8",
                "shape": [batch, 3, *sides],
                "colours": "RGB",
                "values": "0 to 255",
                "layout": "batch, colour, row, column",
            },
            "image_size": fed.size,
            "resize": fed.resize,
            "normalisation": {
                "where": "inside the model: give it bytes",
                "formula": "(pixel / 255 - mean) / std",
                "mean": list(fed.mean),
                "std": list(fed.std),
            },
            "encoder": encoder.name,
            "batch": self.batch,
            "any_size": self.any_size,
            "precision": self.precision,
        }


def task_entry(task: Task, batch: int | str) -> dict[str, Any]:
    """Describes the meaning of an output and its decision, as primitive values."""
    names = list(task.outputs)
    found: dict[str, Any] = {
        "name": task.name,
        "kind": task.kind,
        "outputs": names,
        "dtype": "float32",
        "shape": [batch, len(names)],
    }
    if isinstance(task, MultiLabelTask):
        decision = task.decision.to_dict()
        decision.pop("format")
        calibrated = "weight * logit + bias, label by label, as in decision.calibration"
        inner = calibrated if task.decision.scaling else "the logit, label by label"
        return {
            **found,
            "meaning": f"logits; the probability of a label is the sigmoid of {inner}",
            "decision": decision,
        }
    if isinstance(task, RegressionTask):
        return {
            **found,
            "meaning": "numbers; a value is output * scale + offset",
            "scale": list(task.scale),
            "offset": list(task.offset),
        }
    if isinstance(task, SequenceTask):
        decodes = isinstance(task.head, SequenceHead)
        last = "; the last column is the decoded sequence: numbers of labels, and the end"
        return {
            **found,
            "shape": [batch, task.length, len(names) + 1 + decodes],
            "meaning": "logits of each position over the labels and the end; a label is not "
            f"decoded twice{last if decodes else ''}",
        }
    if isinstance(task, MultiClassTask) and task.decision is not None:
        chosen = task.decision.to_dict()
        chosen.pop("format")
        return {
            **found,
            "meaning": "logits; probabilities are the softmax of logit / temperature, as in "
            "decision.calibration, the decision the largest",
            "decision": chosen,
        }
    return {**found, "meaning": "logits; probabilities are their softmax, the decision the largest"}


@dataclass(frozen=True)
class TaskExport:
    """The result of an export.

    Attributes:
        file: The model file, in the bundle.
        size: Its size in bytes.
        parity: By task, the agreement with the original model.
        resizing: Agreement of the resizing in the file with that of evaluation, if any.
    """

    file: Path
    size: int
    parity: Mapping[str, Parity]
    resizing: ResizingParity | None = None


def export_tasks(
    model: Model | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    format: str = "onnx",
    tolerance: float | None = None,
    overwrite: bool = False,
    batch: int | None = None,
    preprocess: bool = False,
    half: bool = False,
) -> TaskExport:
    """Writes a bundle of a model with several tasks: one file, with one named output per task.

    Heads are folded if possible. The file is run, and each output is compared with the original
    model. The bundle is written only if all outputs agree.

    Args:
        model: The model, which is not modified, or a run folder.
        folder: The bundle to write.
        format: A name of :data:`~gatlabel.deploy.FORMATS`: ``"onnx"`` or ``"pt2"``.
        tolerance: Allowed difference of an output, relative to ``max(1, largest output)``;
            default: 1e-4, with ``half`` 0.02.
        overwrite: Whether to replace an existing bundle.
        batch: Number of images in a batch, if it should be fixed; ``None``: any number.
        preprocess: Whether the file also resizes as in evaluation: it then takes uint8 images of
            any size. Format ``onnx`` only.
        half: Whether weights and arithmetic are float16; outputs are float32. Not for heads that
            decode sequences: rounding would change their choices.

    Raises:
        InputError: If the model cannot be loaded or exported, the folder is taken, or an output
            differs; nothing is left behind then.
        MissingExtraError: If the extra that the format needs is not installed.
    """
    form = find_format(format)
    versions = form.versions()
    allowed = (HALF_TOLERANCE if half else TOLERANCE) if tolerance is None else tolerance
    check_tolerance(allowed)
    check_options(format, preprocess, half)
    place = Path(folder)
    check_place(place, overwrite)
    if not isinstance(model, Model):
        model = Model.from_pretrained(model)
    _check_model(model, half)
    original = copy.deepcopy(model).cpu().float().eval()
    description = TaskDescription(original, batch, preprocess, "float16" if half else "float32")
    with atomic_folder(place, last=FILE, replaces=bundle_files() if overwrite else ()) as at:
        file = at / form.file
        folded = folded_model(original).eval()
        traced = copy.deepcopy(folded).half() if half else folded
        form.write(trace_tasks(traced, batch), description, file)
        resizing = with_preprocessing(file, description) if preprocess else None
        parity = _compared(original, form, file, allowed, batch)
        size = file.stat().st_size
        content = {
            **description.to_dict(),
            "model": {"kind": format, "file": file.name, "bytes": size, "sha256": sha256(file)},
            "parity": {name: asdict(each) for name, each in parity.items()},
            "versions": versions,
        }
        if resizing is not None:
            content["resizing"] = asdict(resizing)
        write_json(at / FILE, content)
    return TaskExport(place / form.file, size, parity, resizing)


def _check_model(model: Model, half: bool) -> None:
    """Refuses models that cannot be exported as one program from images to outputs.

    Raises:
        InputError: The message names the task, or the input.
    """
    if set(model.encoders) != {IMAGE} or model.preprocessing is None:
        raise InputError("only models with one encoder of images can be exported")
    if INPUT in model.tasks:
        raise InputError(f"a task is called {INPUT!r}, as the input of exported models is")
    for name, task in model.tasks.items():
        if half and isinstance(task.head, SequenceHead):
            raise InputError(f"half: not for the task {name!r}, whose head decodes sequences")


@torch.inference_mode()
def _compared(
    model: Model, form: Format, file: Path, tolerance: float, batch: int | None
) -> dict[str, Parity]:
    """Compares the file with the model, output by output."""
    run, _ = form.open(file, "cpu", list(model.tasks))
    sizes = BATCH_SIZES if batch is None else (batch,)
    found: dict[str, tuple[list[float], list[float]]] = {n: ([], []) for n in model.tasks}
    assert model.image_size is not None
    for seed, count in enumerate(sizes):
        images = sample_images(count, model.image_size, seed)
        theirs = model.outputs(images)
        ours = run(images.numpy())
        for name, value in zip(model.tasks, ours, strict=True):
            expected = theirs[name].double().numpy()
            if value.shape != expected.shape:
                raise InputError(f"the exported model gives {value.shape} for the task {name!r}")
            value, expected = (np.where(x > BLOCKED / 2, x, 0.0) for x in (value, expected))
            difference = float(np.abs(value - expected).max())
            found[name][0].append(difference)
            found[name][1].append(float(np.abs(expected).max()))
    parity = {
        name: Parity(float(np.max(apart)), float(np.max(largest)), tolerance, sizes)
        for name, (apart, largest) in found.items()
    }
    for name, each in parity.items():
        if not each.ok:
            raise InputError(
                f"the exported model gives other outputs than the model for the task {name!r}: "
                f"they differ by up to {each.greatest_difference:.2g}, allowed is {tolerance:g} of "
                f"the largest, {each.greatest_logit:.3g}, or of 1; nothing is exported"
            )
    return parity
