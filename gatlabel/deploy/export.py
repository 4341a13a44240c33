"""From a trained model to a bundle that runs without gatlabel."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gatlabel.decisions.decision import Decision, decision_of
from gatlabel.deploy.description import FILE, Description, Parity, write_description
from gatlabel.deploy.formats import FORMATS, Format, find_format
from gatlabel.deploy.parity import TOLERANCE, check_tolerance, compare
from gatlabel.deploy.tracing import cpu_copy, trace
from gatlabel.errors import InputError
from gatlabel.files import atomic_folder, remove_leftovers, require_only
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        file: The model file, in the bundle.
        size: Its bytes.
        folded: Whether the head is one linear layer in it.
        parity: How well it agrees with the model that it was made from.
    """

    file: Path
    size: int
    folded: bool
    parity: Parity


def export_model(
    model: MultiLabelClassifier | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    format: str = "onnx",
    threshold: float | Mapping[str, float] | None = None,
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
) -> Export:
    """Writes a bundle: the model as one file, and ``bundle.json`` with all one must know of it.

    A head whose classifiers do not depend on the image is folded: what is exported has one
    linear layer after pooling, whatever graph it was trained with. Heads on maps are exported as
    they are. The exported file is run on images in batches of several sizes and compared with
    the model as it was before folding; only if the logits agree does the bundle appear, and it
    appears whole.

    Args:
        model: The model, which stays as it is, or a run folder.
        folder: The bundle to write.
        format: A name of :data:`~gatlabel.deploy.FORMATS`: ``"onnx"`` or ``"pt2"``.
        threshold: Probability from which a label counts as present, for all or by label; the
            bundle keeps it for whoever loads it. Default: the decision of the run (thresholds and
            calibration, see :class:`~gatlabel.decisions.Decision`); 0.5 for a model.
        tolerance: Allowed difference of a logit, as a share of the largest (at least of 1).
        overwrite: Whether a bundle that stands there is replaced. A folder that holds anything
            else than its files is left alone.

    Raises:
        InputError: If the model cannot be loaded or exported, the folder is taken, or the logits
            differ; nothing is left behind then.
        MissingExtraError: If the extra that the format needs is not installed.

    Example:
        >>> export_model("runs/demo", "demo-onnx")  # doctest: +SKIP
        >>> Predictor.load("demo-onnx")("photo.jpg").labels  # doctest: +SKIP
        ('person', 'dog')
    """
    form = find_format(format)
    versions = form.versions()  # fails where the extra is missing, before anything takes time
    check_tolerance(tolerance)
    place = Path(folder)
    _check_place(place, overwrite)
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
    )
    with atomic_folder(place, last=FILE, replaces=_files() if overwrite else ()) as temporary:
        file = temporary / form.file
        form.write(trace(folded), description, file)
        parity = _checked(form, file, original, tolerance)
        write_description(temporary, format, file.name, description, parity, versions)
        size = file.stat().st_size
    return Export(place / form.file, size, description.folded, parity)


def _check_place(place: Path, overwrite: bool) -> None:
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
            raise InputError(f"{place} is no bundle: --overwrite leaves it alone")
        require_only(place, _files())


def _files() -> set[str]:
    """The files that a bundle may have."""
    return {FILE, *(form.file for form in FORMATS.values())}


def _load(run: Path) -> MultiLabelClassifier:
    if not run.is_dir():
        raise InputError(f"there is no run folder {run}")
    if (run / FILE).exists():
        raise InputError(f"{run} is an exported bundle already: export the run that it came from")
    return MultiLabelClassifier.from_pretrained(run)


def _checked(form: Format, file: Path, original: MultiLabelClassifier, tolerance: float) -> Parity:
    """Compares the file, as whoever uses it will read it, with the model."""
    run = form.load(file, "cpu").run

    def exported(images: Tensor) -> Tensor:
        return torch.from_numpy(run(images.numpy()))

    parity = compare(exported, original, original.image_size, tolerance)
    if math.isnan(parity.greatest_logit):
        raise InputError("the model gives NaN: its training has diverged; nothing is exported")
    if not parity.ok:
        raise InputError(
            f"the exported model gives other logits than the model: they differ by up to "
            f"{parity.greatest_difference:.2g}, allowed is {tolerance:g} of the largest logit, "
            f"{parity.greatest_logit:.3g}, or of 1; nothing is exported"
        )
    return parity
