"""Export of a trained model to a bundle that runs without gatlabel."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatlabel.decisions.decision import Decision, decision_of
from gatlabel.deploy.description import FILE, Description, Parity, write_description
from gatlabel.deploy.exported_model import run_in_batches
from gatlabel.deploy.formats import FORMATS, Format, find_format
from gatlabel.deploy.onnx_file import save_onnx
from gatlabel.deploy.onnx_resizing import ResizingParity, with_preprocessing
from gatlabel.deploy.parity import BATCH_SIZES, HALF_TOLERANCE, TOLERANCE, check_tolerance, compare
from gatlabel.deploy.quantization import MeasuredLoss, Quantization, measured_loss, quantize
from gatlabel.deploy.tracing import cpu_copy, trace
from gatlabel.errors import InputError
from gatlabel.files import atomic_folder, remove_leftovers, require_only
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes:
        file: The model file, in the bundle.
        size: Its size in bytes.
        folded: Whether the exported head is one linear layer.
        parity: Agreement with the original model.
        loss: The mAP lost by quantization, if any.
        resizing: Agreement of the resizing in the file with that of evaluation, if any.
    """

    file: Path
    size: int
    folded: bool
    parity: Parity
    loss: MeasuredLoss | None = None
    resizing: ResizingParity | None = None


def export_model(
    model: MultiLabelClassifier | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    format: str = "onnx",
    threshold: float | Mapping[str, float] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
    batch: int | None = None,
    preprocess: bool = False,
    half: bool = False,
    quantization: Quantization | None = None,
) -> Export:
    """Writes a bundle: the model as one file, and its description ``bundle.json``.

    A head whose classifiers do not depend on the image is folded: the exported model has one
    linear layer after pooling, whatever graph it was trained with. Heads on maps are exported
    unchanged. The exported file is run on images in batches of several sizes and compared with
    the model before folding. The bundle is written only if the logits agree, and never partially.

    Args:
        model: The model, which is not modified, or a run folder.
        folder: The bundle to write.
        format: A name of :data:`~gatlabel.deploy.FORMATS`: ``"onnx"`` or ``"pt2"``.
        threshold: Probability from which a label counts as present, for all labels or by label;
            stored in the bundle. Default: the decision of the run (thresholds and calibration, see
            :class:`~gatlabel.decisions.Decision`); 0.5 for a model.
        tolerance: Allowed difference of a logit, relative to ``max(1, largest logit)``; default:
            1e-4, with ``half`` 0.02. With ``quantization``, mAP is measured instead.
        overwrite: Whether to replace an existing bundle. A folder that contains other files is
            never replaced.
        batch: Number of images in a batch, if it should be fixed; ``None``: any number.
        preprocess: Whether the file also resizes as in evaluation: it then takes uint8 images of
            any size. Format ``onnx`` only.
        half: Whether weights and arithmetic are float16: half the size, and fast on GPUs. Types of
            input and output do not change.
        quantization: How to quantize the model to 8-bit integers; format ``onnx`` only.

    Raises:
        InputError: If the model cannot be loaded or exported, the folder is not empty, the logits
            differ, or quantization costs too much; nothing is written then.
        MissingExtraError: If the extra that the format needs is not installed.

    Example:
        >>> export_model("runs/demo", "demo-onnx")  # doctest: +SKIP
        >>> Predictor.load("demo-onnx")("photo.jpg").labels  # doctest: +SKIP
        ('person', 'dog')
    """
    form = find_format(format)
    versions = form.versions()  # fails early if the extra is missing
    if tolerance is None:
        tolerance = HALF_TOLERANCE if half else TOLERANCE
    check_tolerance(tolerance)
    check_options(format, preprocess, half, quantization)
    place = Path(folder)
    check_place(place, overwrite)
    decision = None
    if not isinstance(model, MultiLabelClassifier):
        run = Path(model)
        model = _load(run)
        decision = decision_of(run, model.labels)
    decision = decision or Decision.fixed(model.labels)
    if threshold is not None:
        decision = decision.with_thresholds(threshold)
    original = cpu_copy(model)
    folded = original.fold().eval()
    description = Description(
        labels=original.labels,
        decision=decision,
        preprocessing=original.preprocessing,
        encoder=original.encoder.name,
        head=original.head.kind,
        folded=isinstance(folded.head, LinearHead),
        batch=batch,
        any_size=preprocess,
        precision=_precision(half, quantization),
    )
    with atomic_folder(place, last=FILE, replaces=bundle_files() if overwrite else ()) as temporary:
        file = temporary / form.file
        # a copy, since the file is compared with the original encoder
        traced = copy.deepcopy(folded).half() if half else folded
        form.write(trace(traced, batch), description, file)
        if quantization is not None:
            save_onnx(quantize(file, folded, quantization), description, file)
        resizing = with_preprocessing(file, description) if preprocess else None
        parity = _checked(form, file, original, tolerance, description)
        loss = None if quantization is None else _loss(form, file, original, quantization, batch)
        measured: dict[str, Any] = {}
        if loss is not None:
            measured["quantization"] = loss.to_dict()
        if resizing is not None:
            measured["resizing"] = asdict(resizing)
        write_description(temporary, format, file.name, description, parity, versions, measured)
        size = file.stat().st_size
    return Export(place / form.file, size, description.folded, parity, loss, resizing)


def check_options(
    format: str, preprocess: bool, half: bool, quantization: Quantization | None = None
) -> None:
    """Makes sure that options of an export go together.

    Raises:
        InputError: If they do not.
    """
    onnx_only = {"preprocess": preprocess, "quantization": quantization is not None}
    for name, given in onnx_only.items():
        if given and format != "onnx":
            raise InputError(f"{name} is for format onnx, not for {format}")
    if half and quantization is not None:
        raise InputError("half and quantization exclude each other: give one")


def _precision(half: bool, quantization: Quantization | None) -> str:
    if quantization is not None:
        return f"int8-{quantization.mode}"
    return "float16" if half else "float32"


def _loss(
    form: Format,
    file: Path,
    original: MultiLabelClassifier,
    quantization: Quantization,
    batch: int | None,
) -> MeasuredLoss:
    run = form.load(file, "cpu").run

    def exported(images: Tensor) -> Tensor:
        return torch.from_numpy(run_in_batches(run, images.numpy(), batch))

    loss = measured_loss(exported, original, quantization)
    if loss.points > loss.max_loss:
        raise InputError(
            f"{quantization.mode} quantization costs {loss.points:.2f} points of mAP "
            f"({100 * loss.before:.2f} to {100 * loss.after:.2f} on {loss.images} images), allowed "
            f"is {loss.max_loss:g}; nothing is exported. Try other or more calibration images, or "
            "allow more with --max-loss"
        )
    return loss


def check_place(place: Path, overwrite: bool) -> None:
    """Makes sure that a bundle may be written to a folder.

    Raises:
        InputError: If it holds anything else, or a bundle that is to stay.
    """
    if place.exists() and not place.is_dir():
        raise InputError(f"the output {place} is a file: give a folder")
    if place.is_dir():
        remove_leftovers(place)
    if place.is_dir() and any(place.iterdir()):
        if not overwrite:
            raise InputError(
                f"the folder {place} is not empty: give another output, or replace the bundle in "
                "it with --overwrite (overwrite=True)"
            )
        if not (place / FILE).is_file():
            raise InputError(f"{place} is not a bundle: --overwrite does not replace it")
        require_only(place, bundle_files())


def bundle_files() -> set[str]:
    """The files that a bundle may contain."""
    return {FILE, *(form.file for form in FORMATS.values())}


def _load(run: Path) -> MultiLabelClassifier:
    if not run.is_dir():
        raise InputError(f"there is no run folder {run}")
    if (run / FILE).exists():
        raise InputError(f"{run} is an exported bundle already: export the original run")
    return MultiLabelClassifier.from_pretrained(run)


def _checked(
    form: Format,
    file: Path,
    original: MultiLabelClassifier,
    tolerance: float,
    description: Description,
) -> Parity:
    """Compares the file, loaded as by a user, with the model."""
    run = form.load(file, "cpu").run

    def exported(images: Tensor) -> Tensor:
        return torch.from_numpy(run(images.numpy()))

    sizes = BATCH_SIZES if description.batch is None else (description.batch,)
    parity = compare(exported, original, original.image_size, tolerance, sizes)
    if math.isnan(parity.greatest_logit):
        raise InputError("the model gives NaN: its training has diverged; nothing is exported")
    if not parity.ok and not description.precision.startswith("int8"):  # mAP decides there
        raise InputError(
            f"the logits of the exported model differ from those of the model by up to "
            f"{parity.greatest_difference:.2g}, allowed is {tolerance:g} of the largest logit, "
            f"{parity.greatest_logit:.3g}, or of 1; nothing is exported"
        )
    return parity
