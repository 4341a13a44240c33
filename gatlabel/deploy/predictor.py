"""From a trained run to labels for pictures, in two lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, overload

import torch
from torch import Tensor

from gatlabel.batch import stack_images
from gatlabel.data import MAX_PIXELS
from gatlabel.data.memory_budget import DECODING
from gatlabel.deploy.description import FILE
from gatlabel.deploy.exported_model import ExportedModel
from gatlabel.deploy.inputs import ImageInput, image_name, read_image
from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.thresholds import DEFAULT, threshold_of_each
from gatlabel.devices import choose_device
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError, unknown_choice
from gatlabel.inference import outputs
from gatlabel.labels import LabelSet
from gatlabel.model import MultiLabelClassifier
from gatlabel.values import whole_number

OnError = Literal["stop", "skip"]
MOST_AT_ONCE = 2**20


class Predictor:
    """Labels pictures with a trained model, or with one that was exported.

    Pictures are decoded, brought to the model's size as in evaluation, and run in batches. A
    graph head that can be folded is: the graph costs nothing here.

    Args:
        model: The model; it is put in evaluation mode and on the device. An exported one stays
            on the device that it was loaded for.
        threshold: Probability from which a label counts as present, 0 to 1: one for all, or one
            for each label by name.
        device: See :func:`~gatlabel.devices.choose_device`.
        batch_size: Most pictures to run at once.
        max_pixels: Most pixels (width times height) that an image may have.

    Raises:
        InputError: If a threshold is out of range, labels of it are missing or extra, or there is
            no such device.

    Example:
        >>> predictor = Predictor.load("runs/demo")  # doctest: +SKIP
        >>> predictor("photo.jpg").labels  # doctest: +SKIP
        ('person', 'dog')
    """

    def __init__(
        self,
        model: MultiLabelClassifier | ExportedModel,
        *,
        threshold: float | Mapping[str, float] = DEFAULT,
        device: str | torch.device = "auto",
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        batch_size = whole_number(batch_size, "batch_size", 1, MOST_AT_ONCE)
        self.max_pixels = whole_number(max_pixels, "max_pixels", 1)
        self.labels: LabelSet = model.labels
        values = list(threshold_of_each(threshold, self.labels).values())
        self.thresholds = torch.tensor(values, dtype=torch.float64)  # (L,)
        self.batch_size = batch_size
        # What is asked of it from here on: labels, preprocessing, and logits for images.
        self.model: MultiLabelClassifier | ExportedModel
        if isinstance(model, ExportedModel):
            if device != "auto" and choose_device(device) != choose_device(model.device):
                raise InputError(
                    f"the exported model was loaded for the device {str(model.device)!r}, not for "
                    f"{str(device)!r}: give the device to ExportedModel.load"
                )
            self.device, self.model = model.device, model
        else:
            self.device = choose_device(device)
            self.model = model.fold().eval().to(self.device)
        self.transform = model.preprocessing.transform()

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        threshold: float | Mapping[str, float] | None = None,
        device: str | torch.device = "auto",
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
        encoder: Encoder | None = None,
    ) -> Self:
        """Loads a run folder, any folder that ``save_pretrained`` wrote, or an exported bundle.

        Args:
            folder: The folder.
            threshold: See the class; default: those of the bundle, 0.5 for a run.
            device: See the class; a bundle of format ``onnx`` runs on the CPU.
            batch_size: See the class.
            max_pixels: See the class.
            encoder: The encoder, where it was a network of one's own; a bundle holds it.

        Raises:
            InputError: If the folder or a file in it is missing or damaged.
            MissingExtraError: If a bundle needs the extra ``onnx``, and it is not installed.
        """
        if not Path(folder).is_dir():
            raise InputError(f"there is no run folder {os.fspath(folder)}")
        model: MultiLabelClassifier | ExportedModel
        if (Path(folder) / FILE).is_file():
            if encoder is not None:
                raise InputError(f"{os.fspath(folder)} is a bundle with its encoder: give none")
            model = ExportedModel.load(folder, device=device)
            threshold = model.description.thresholds if threshold is None else threshold
        else:
            model = MultiLabelClassifier.from_pretrained(folder, encoder=encoder)
        threshold = DEFAULT if threshold is None else threshold
        return cls(
            model,
            threshold=threshold,
            device=device,
            batch_size=batch_size,
            max_pixels=max_pixels,
        )

    @overload  # a str is a sequence of str to the type checker; here it is one path
    def __call__(  # type: ignore[overload-overlap]
        self, images: ImageInput, *, on_error: OnError = "stop"
    ) -> Prediction: ...
    @overload
    def __call__(
        self, images: Sequence[ImageInput], *, on_error: OnError = "stop"
    ) -> list[Prediction]: ...
    def __call__(
        self, images: ImageInput | Sequence[ImageInput], *, on_error: OnError = "stop"
    ) -> Prediction | list[Prediction]:
        """Labels one picture, or a list of them.

        Args:
            images: A path, the bytes of a picture file, a Pillow image, a uint8 tensor
                ``(3, height, width)``, or a list or tuple of these.
            on_error: ``"stop"`` raises at the first picture that cannot be read; ``"skip"`` goes
                on and says why in that picture's :attr:`Prediction.error`.

        Returns:
            One prediction, or one for each picture in the order given.

        Raises:
            InputError: If a picture cannot be read (the message names it), or the model gives
                NaN.
        """
        if on_error not in ("stop", "skip"):
            raise unknown_choice("on_error", on_error, ("stop", "skip"))
        one = not isinstance(images, (list, tuple))
        given: Sequence[ImageInput] = [images] if one else images  # type: ignore[list-item, assignment]
        errors: dict[int, str] = {}
        batches = self._batches(given, on_error, errors)
        rows = iter([row for part in self._run(batches) for row in part])
        found = [
            Prediction(name, error=errors[k]) if k in errors else self._prediction(name, next(rows))
            for k, name in enumerate(map(image_name, given, range(len(given))))
        ]
        return found[0] if one else found

    def _batches(
        self, images: Sequence[ImageInput], on_error: OnError, errors: dict[int, str]
    ) -> Iterator[Tensor]:
        """Yields uint8 ``(B, 3, S, S)``; notes why an image is left out, by its position."""
        least = 2 * self.transform.decode_side  # as evaluation decodes JPEGs
        for start in range(0, len(images), self.batch_size):
            read: list[Tensor] = []
            for k, image in enumerate(images[start : start + self.batch_size], start):
                try:
                    with DECODING.scope():  # until it has its final size
                        decoded = read_image(image, image_name(image, k), least, self.max_pixels)
                        read.append(self.transform(decoded))
                except InputError as error:
                    if on_error == "stop":
                        raise
                    errors[k] = str(error)
            if read:
                yield stack_images(read)

    def _run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yields probabilities float64 ``(B, L)`` of batches uint8 ``(B, 3, S, S)``."""
        for logits in outputs(self.model, batches):
            if logits.isnan().any():
                raise InputError("the model gives NaN: its training has diverged")
            yield logits.double().sigmoid()

    def probabilities(self, images: Tensor) -> Tensor:
        """Runs the model on images that have its size.

        Args:
            images: uint8 ``(B, 3, S, S)``, RGB, 0 to 255.

        Returns:
            float64 ``(B, L)``, 0 to 1, on the CPU.

        Raises:
            InputError: If the model gives NaN.
        """
        return next(self._run([images]))

    def _prediction(self, name: str, row: Tensor) -> Prediction:
        order = row.argsort(descending=True, stable=True)
        present = [int(k) for k in order if row[k] >= self.thresholds[k]]
        return Prediction(
            source=name,
            labels=tuple(self.labels[k] for k in present),
            probabilities=dict(zip(self.labels, row.tolist(), strict=True)),
            thresholds=dict(zip(self.labels, self.thresholds.tolist(), strict=True)),
        )

    def __repr__(self) -> str:
        model = self.model
        if isinstance(model, ExportedModel):
            encoder = model.description.encoder
        else:
            encoder = model.encoder.name
        return (
            f"Predictor({len(self.labels)} labels, {encoder}, {self.transform.size} px, "
            f"{self.device})"
        )
