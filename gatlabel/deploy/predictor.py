"""Prediction of labels for images with a trained run or an exported bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast, overload

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.image_files import MAX_PIXELS
from gatlabel.decisions.decision import Decision, decision_of
from gatlabel.deploy.description import FILE
from gatlabel.deploy.exported_model import ExportedModel
from gatlabel.deploy.exported_tasks import ExportedTasks, is_tasks_bundle
from gatlabel.deploy.inputs import Decoded, Decoder, ImageInput
from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.resizing import Pixels, prepared
from gatlabel.deploy.sources import Sources, is_one_image
from gatlabel.deploy.streaming import OnError, decoded_batches, default_workers
from gatlabel.deploy.task_predictor import TaskPredictor
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, unknown_choice
from gatlabel.labels import LabelSet
from gatlabel.model.formats import has_tasks
from gatlabel.values import whole_number

if TYPE_CHECKING:
    import torch

    from gatlabel.encoders import Encoder
    from gatlabel.explain import ImageExplanation
    from gatlabel.model import MultiLabelClassifier

MOST_AT_ONCE = 2**20
MOST_WORKERS = 256


class Predictor:
    """Labels images with a trained or an exported model.

    Images are decoded in threads while the model runs, resized as in evaluation, and run in
    batches. A graph head is folded if possible, so that the graph takes no time in prediction. A
    bundle of format ``onnx`` runs without torch.

    Args:
        model: The model; it is set to evaluation mode and moved to the device. An exported model
            stays on the device that it was loaded for.
        threshold: Probability from which a label counts as present, 0 to 1: one for all, or one
            for each label by name; default: those of the decision.
        decision: Calibration and thresholds; default: those of a bundle, thresholds of 0.5 for a
            model.
        device: See :func:`~gatlabel.devices.choose_device`.
        batch_size: Maximum batch size.
        max_pixels: Maximum number of pixels (width times height) of an image.
        workers: Decoding threads; default: one per processor, at most 8. With 0, images are
            decoded between batches, and no image is taken from a source before its batch.
        amp: Whether to run the model in mixed precision, as training with ``run.amp`` does:
            bfloat16, or float16 on GPUs without it. Not for exported models.

    Raises:
        InputError: If a threshold is out of range, thresholds have missing or unknown labels, or
            there is no such device.

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
        workers: int | None = None,
        amp: bool = False,
    ) -> None:
        batch_size = whole_number(batch_size, "batch_size", 1, MOST_AT_ONCE)
        workers = default_workers() if workers is None else workers
        self.workers = whole_number(workers, "workers", 0, MOST_WORKERS)
        self.max_pixels = whole_number(max_pixels, "max_pixels", 1)
        self.labels: LabelSet = model.labels
        if decision is None and isinstance(model, ExportedModel):
            decision = model.description.decision
        decision = decision or Decision.fixed(self.labels)
        if decision.labels != self.labels:
            raise InputError("the decision has other labels than the model, or in another order")
        self.decision = decision if threshold is None else decision.with_thresholds(threshold)
        self.thresholds = self.decision.limits  # (L,)
        limits = zip(self.labels, np.asarray(self.thresholds).tolist(), strict=True)
        self._threshold_of = dict(limits)
        self.batch_size = _batch_size(model, batch_size)
        self.preprocessing = model.preprocessing
        self.model: MultiLabelClassifier | ExportedModel
        self._decode = Decoder(_preparation(model), self.preprocessing.size, self.max_pixels)
        if isinstance(model, ExportedModel):
            if device not in ("auto", model.device) and choose_device(device) != choose_device(
                model.device
            ):
                raise InputError(
                    f"the exported model was loaded for the device {model.device!r}, not for "
                    f"{str(device)!r}: give the device to ExportedModel.load"
                )
            if amp:
                raise InputError("amp is for runs: the precision of an exported model is fixed")
            self.device, self.model = model.device, model
        else:
            self.device = str(choose_device(device))
            self._trained = model.eval().to(self.device)  # with the head that it was trained with
            self.model = model.fold().eval().to(self.device)
        self.amp = amp

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        threshold: float | Mapping[str, float] | None = None,
        device: str | torch.device = "auto",
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
        workers: int | None = None,
        amp: bool = False,
        encoder: Encoder | None = None,
    ) -> Self:
        """Loads a run folder, any folder that ``save_pretrained`` wrote, or an exported bundle.

        For a model with several tasks, the result is a :class:`~gatlabel.deploy.TaskPredictor`,
        whose predictions contain the outputs of every task.

        Args:
            folder: The folder.
            threshold: See the class; default: the decision of the run or bundle, else 0.5.
            device: See the class; a bundle of format ``onnx`` runs on the CPU.
            batch_size: See the class.
            max_pixels: See the class.
            workers: See the class.
            amp: See the class.
            encoder: The encoder, if the model was trained with your own network; a bundle
                contains it.

        Raises:
            InputError: If the folder or a file in it is missing or damaged.
            MissingExtraError: If a bundle needs the extra ``onnx``, and it is not installed.
        """
        if not Path(folder).is_dir():
            raise InputError(f"there is no run folder {os.fspath(folder)}")
        model: MultiLabelClassifier | ExportedModel
        exported = is_tasks_bundle(folder)
        if exported or has_tasks(folder):
            if threshold is not None or encoder is not None:
                what = "threshold" if encoder is None else "encoder"
                raise InputError(f"{os.fspath(folder)} has several tasks: {what} is not for them")
            from gatlabel.model import Model

            own = TaskPredictor(
                ExportedTasks(folder) if exported else Model.from_pretrained(folder),
                device=str(device),
                batch_size=batch_size,
                max_pixels=max_pixels,
                workers=workers,
                amp=amp,
            )
            return cast(Self, own)  # another class with the same calls
        if (Path(folder) / FILE).is_file():
            if encoder is not None:
                raise InputError(f"{os.fspath(folder)} is a bundle with its encoder: omit encoder")
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
            workers=workers,
            amp=amp,
        )

    @overload  # a str is a sequence of str to the type checker; here it is one path
    def __call__(  # type: ignore[overload-overlap]
        self, images: ImageInput, *, on_error: OnError = "stop", explain: int = 0
    ) -> Prediction: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, images: Sequence[ImageInput], *, on_error: OnError = "stop", explain: int = 0
    ) -> list[Prediction]: ...
    @overload
    def __call__(
        self, images: Iterable[ImageInput], *, on_error: OnError = "stop", explain: int = 0
    ) -> Iterator[Prediction]: ...
    def __call__(
        self, images: Sources, *, on_error: OnError = "stop", explain: int = 0
    ) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Labels one image, or several.

        Args:
            images: A path, the bytes of an image file, a Pillow image, a uint8 array
                ``(height, width, 3)`` or ``(height, width)``, a uint8 tensor
                ``(3, height, width)``; a folder or a pattern such as ``"photos/*.jpg"``; or a
                list, tuple, iterator or other iterable of all of these.
            on_error: ``"stop"`` raises at the first image that cannot be read; ``"skip"``
                continues and puts the reason in that image's :attr:`Prediction.error`.
            explain: See :meth:`stream`.

        Returns:
            One prediction for one image. For an iterator, which may be infinite, an iterator as
            from :meth:`stream`. For a folder, a pattern or another iterable, a list with one
            prediction per image, in order.

        Raises:
            InputError: If an image cannot be read (the message names it), or the model returns
                NaN.
        """
        found = self.stream(images, on_error=on_error, explain=explain)
        if is_one_image(images):
            return next(found)
        return found if isinstance(images, Iterator) else list(found)

    def stream(
        self, images: Sources, *, on_error: OnError = "skip", explain: int = 0
    ) -> Iterator[Prediction]:
        """Labels images one by one, in bounded memory.

        Args:
            images: As for ``predictor(images)``. An iterable is read in the calling thread, at
                most two batches ahead of the requested prediction.
            on_error: ``"skip"`` yields a :class:`Prediction` with an :attr:`~Prediction.error` for
                an image that cannot be read; ``"stop"`` raises.
            explain: Number of most probable labels to explain per image, in
                :attr:`Prediction.explanation`; takes about as long as ten predictions. Not for
                exported models.

        Yields:
            One prediction per image, in order.

        Raises:
            InputError: As for ``predictor(images)``.

        Example:
            >>> for prediction in predictor.stream("photos/**/*.jpg"):  # doctest: +SKIP
            ...     print(prediction.source, prediction.labels or prediction.error)
        """
        if on_error not in ("stop", "skip"):
            raise unknown_choice("on_error", on_error, ("stop", "skip"))
        if explain and isinstance(self.model, ExportedModel):
            raise InputError("an exported model cannot be explained: give the run that it is of")
        return self._stream(images, on_error, whole_number(explain, "explain", 0))

    def _stream(self, images: Sources, on_error: OnError, explain: int) -> Iterator[Prediction]:
        sizes = {"batch_size": self.batch_size, "workers": self.workers}
        for batch in decoded_batches(images, self._decode, on_error=on_error, **sizes):
            yield from self._predict(batch, explain)

    def _predict(self, batch: Sequence[Decoded], explain: int) -> Iterator[Prediction]:
        ready = [pixels for _, pixels, _ in batch if pixels is not None]
        # channels last, as decoded and as models compute
        stacked = np.stack(ready).transpose(0, 3, 1, 2) if ready else None
        found = iter(() if stacked is None else list(self.probabilities(stacked)))
        for name, pixels, error in batch:
            if pixels is None:
                yield Prediction(name, error=str(error))
                continue
            row = next(found)
            explanation = self._explain(name, pixels, row, None, explain) if explain else None
            yield self._prediction(name, row, explanation)

    def explain(
        self, image: ImageInput, *, labels: Sequence[str] | None = None, top: int = 3
    ) -> ImageExplanation:
        """Explains the logits of one image: heat maps and contributions of neighbours.

        Args:
            image: One image, as for ``predictor(image)``.
            labels: The labels to explain; default: the ``top`` most probable ones.
            top: Number of labels to explain if ``labels`` is not given.

        Raises:
            InputError: If the image cannot be read, there is no such label, or the model was
                exported.
        """
        if isinstance(self.model, ExportedModel):
            raise InputError("an exported model cannot be explained: give the run that it is of")
        name, pixels, error = self._decode((0, image))
        if pixels is None:
            raise error or InputError(f"cannot read {name}")
        row = self.probabilities(pixels[None].transpose(0, 3, 1, 2))[0]
        return self._explain(name, pixels, row, labels, top)

    def _explain(
        self,
        name: str,
        pixels: Pixels,
        row: NDArray[np.float64],
        labels: Sequence[str] | None,
        top: int,
    ) -> ImageExplanation:
        import torch

        from gatlabel.explain import explain_image

        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return explain_image(
            self._trained, image, labels=labels, top=top, probabilities=row, source=name
        )

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Runs the model on images of its size.

        Args:
            images: uint8 ``(B, 3, S, S)``, RGB, 0 to 255: an array, or a tensor on the CPU.

        Returns:
            ``(B, L)``, 0 to 1, calibrated if the decision has a calibration.

        Raises:
            InputError: If the model returns NaN.
        """
        return self.decision.probabilities(self.logits(np.asarray(images)))

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the logits ``(B, L)`` of images of the model's size.

        Args:
            images: uint8 ``(B, 3, S, S)``, RGB, 0 to 255.

        Raises:
            InputError: If the model returns NaN.
        """
        logits = self._run(images)
        if np.isnan(logits).any():
            raise InputError("the model gives NaN: its training has diverged")
        return logits

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        if isinstance(self.model, ExportedModel):
            return self.model.logits(images).astype(np.float64)
        import torch

        from gatlabel.inference import outputs

        kind = torch.device(self.device).type
        half = torch.float16 if kind == "cuda" and not torch.cuda.is_bf16_supported() else None
        with torch.autocast(kind, dtype=half or torch.bfloat16, enabled=self.amp):
            (logits,) = outputs(self.model, [torch.from_numpy(images)])
        found: NDArray[np.float64] = logits.double().numpy()
        return found

    def _prediction(
        self, name: str, row: NDArray[np.float64], explanation: ImageExplanation | None = None
    ) -> Prediction:
        order = np.argsort(-row, kind="stable")
        present = [int(k) for k in order if row[k] >= self.thresholds[k]]
        return Prediction(
            source=name,
            labels=tuple(self.labels[k] for k in present),
            probabilities=dict(zip(self.labels, row.tolist(), strict=True)),
            thresholds=self._threshold_of,
            explanation=explanation,
        )

    def __repr__(self) -> str:
        model = self.model
        if isinstance(model, ExportedModel):
            encoder = model.description.encoder
        else:
            encoder = model.encoder.name
        size = self.preprocessing.size
        return f"Predictor({len(self.labels)} labels, {encoder}, {size} px, {self.device})"


def _batch_size(model: MultiLabelClassifier | ExportedModel, wanted: int) -> int:
    """Returns the batch size: 1 for a model that resizes, since its images differ in size."""
    if not isinstance(model, ExportedModel):
        return wanted
    return 1 if model.description.any_size else model.description.batch or wanted


def _preparation(model: MultiLabelClassifier | ExportedModel) -> Callable[[Pixels], Pixels]:
    """Returns the function that resizes images for a model, ``(h, w, 3)`` -> ``(S, S, 3)``.

    It is the identity for a model that resizes itself. Otherwise there are two implementations
    with the same result. That of torch takes a tenth of the time, once torch is imported.
    """
    if isinstance(model, ExportedModel) and model.description.any_size:
        return lambda pixels: pixels
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
