"""From a trained run to labels for images, in two lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.image_files import MAX_PIXELS
from gatlabel.data.memory_budget import DECODING
from gatlabel.decisions.decision import Decision, decision_of
from gatlabel.deploy.description import FILE
from gatlabel.deploy.exported_model import ExportedModel
from gatlabel.deploy.inputs import ImageInput, image_name, read_image
from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.resizing import Pixels, prepared
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, unknown_choice
from gatlabel.labels import LabelSet
from gatlabel.values import whole_number

if TYPE_CHECKING:
    import torch

    from gatlabel.encoders import Encoder
    from gatlabel.model import MultiLabelClassifier

OnError = Literal["stop", "skip"]
MOST_AT_ONCE = 2**20


class Predictor:
    """Labels images with a trained model, or with one that was exported.

    Images are decoded, brought to the model's size as in evaluation, and run in batches. A graph
    head that can be folded is: the graph costs nothing here. A bundle of format ``onnx`` runs
    without torch.

    Args:
        model: The model; it is put in evaluation mode and on the device. An exported one stays
            on the device that it was loaded for.
        threshold: Probability from which a label counts as present, 0 to 1: one for all, or one
            for each label by name; default: those of the decision.
        decision: Calibration and thresholds; default: those of a bundle, thresholds of 0.5 for a
            model.
        device: See :func:`~gatlabel.devices.choose_device`.
        batch_size: Most images to run at once.
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
        threshold: float | Mapping[str, float] | None = None,
        decision: Decision | None = None,
        device: str | torch.device = "auto",
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        batch_size = whole_number(batch_size, "batch_size", 1, MOST_AT_ONCE)
        self.max_pixels = whole_number(max_pixels, "max_pixels", 1)
        self.labels: LabelSet = model.labels
        if decision is None and isinstance(model, ExportedModel):
            decision = model.description.decision
        decision = decision or Decision.fixed(self.labels)
        if decision.labels != self.labels:
            raise InputError("the decision is of other labels than the model, or in another order")
        self.decision = decision if threshold is None else decision.with_thresholds(threshold)
        self.thresholds = self.decision.limits  # (L,)
        self.batch_size = batch_size
        self.preprocessing = model.preprocessing
        self.model: MultiLabelClassifier | ExportedModel
        self._prepare = _preparation(model)
        if isinstance(model, ExportedModel):
            if device not in ("auto", model.device) and choose_device(device) != choose_device(
                model.device
            ):
                raise InputError(
                    f"the exported model was loaded for the device {model.device!r}, not for "
                    f"{str(device)!r}: give the device to ExportedModel.load"
                )
            self.device, self.model = model.device, model
        else:
            self.device = str(choose_device(device))
            self.model = model.fold().eval().to(self.device)

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
            threshold: See the class; default: the decision of the run or bundle, else 0.5.
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
            decision = model.description.decision
        else:
            from gatlabel.model import MultiLabelClassifier

            model = MultiLabelClassifier.from_pretrained(folder, encoder=encoder)
            decision = decision_of(folder, model.labels)
        return cls(
            model,
            threshold=threshold,
            decision=decision,
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
        """Labels one image, or a list of them.

        Args:
            images: A path, the bytes of an image file, a Pillow image, a uint8 tensor
                ``(3, height, width)``, or a list or tuple of these.
            on_error: ``"stop"`` raises at the first image that cannot be read; ``"skip"`` goes
                on and gives the reason in that image's :attr:`Prediction.error`.

        Returns:
            One prediction, or one for each image in the order given.

        Raises:
            InputError: If an image cannot be read (the message names it), or the model gives
                NaN.
        """
        if on_error not in ("stop", "skip"):
            raise unknown_choice("on_error", on_error, ("stop", "skip"))
        if not isinstance(images, (list, tuple)):
            return self._predict([images], 0, on_error)[0]  # type: ignore[list-item]
        found: list[Prediction] = []
        for start in range(0, len(images), self.batch_size):
            found += self._predict(images[start : start + self.batch_size], start, on_error)
        return found

    def _predict(
        self, images: Sequence[ImageInput], start: int, on_error: OnError
    ) -> list[Prediction]:
        names = [image_name(image, start + k) for k, image in enumerate(images)]
        ready: list[Pixels] = []
        errors: dict[int, str] = {}
        for k, (image, name) in enumerate(zip(images, names, strict=True)):
            try:
                with DECODING.scope():  # until it has its final size
                    # as evaluation decodes: a JPEG at twice the size that is needed, then resized
                    pixels = read_image(image, name, 2 * self.preprocessing.size, self.max_pixels)
                    ready.append(self._prepare(pixels))
            except InputError as error:
                if on_error == "stop":
                    raise
                errors[k] = str(error)
        # colours stay side by side (channels last), as they are decoded and as models compute
        rows = iter(self.probabilities(np.stack(ready).transpose(0, 3, 1, 2)) if ready else ())
        return [
            Prediction(name, error=errors[k]) if k in errors else self._prediction(name, next(rows))
            for k, name in enumerate(names)
        ]

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Runs the model on images that have its size.

        Args:
            images: uint8 ``(B, 3, S, S)``, RGB, 0 to 255: an array, or a tensor on the CPU.

        Returns:
            ``(B, L)``, 0 to 1, calibrated where the decision has a calibration.

        Raises:
            InputError: If the model gives NaN.
        """
        logits = self._logits(np.asarray(images))
        if np.isnan(logits).any():
            raise InputError("the model gives NaN: its training has diverged")
        return self.decision.probabilities(logits)

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        if isinstance(self.model, ExportedModel):
            return self.model.logits(images).astype(np.float64)
        import torch

        from gatlabel.inference import outputs

        logits: NDArray[np.float64] = (
            next(outputs(self.model, [torch.from_numpy(images)])).double().numpy()
        )
        return logits

    def _prediction(self, name: str, row: NDArray[np.float64]) -> Prediction:
        order = np.argsort(-row, kind="stable")
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
        size = self.preprocessing.size
        return f"Predictor({len(self.labels)} labels, {encoder}, {size} px, {self.device})"


def _preparation(model: MultiLabelClassifier | ExportedModel) -> Callable[[Pixels], Pixels]:
    """Returns what brings images to the size of a model, ``(h, w, 3)`` -> ``(S, S, 3)``.

    Both ways give the same. That of torch takes a tenth of the time, once torch is loaded.
    """
    if isinstance(model, ExportedModel) and not model.uses_torch:
        size, resize = model.preprocessing.size, model.preprocessing.resize
        return partial(prepared, size=size, resize=resize)  # type: ignore[arg-type]
    import torch

    transform = model.preprocessing.transform()

    def prepare(pixels: Pixels) -> Pixels:
        image = transform(torch.from_numpy(pixels).permute(2, 0, 1))
        ready: Pixels = image.permute(1, 2, 0).numpy()
        return ready

    return prepare
