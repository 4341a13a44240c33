"""Prediction for images with a model that has several tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gatlabel.data.image_files import MAX_PIXELS
from gatlabel.deploy.exported_tasks import ExportedTasks
from gatlabel.deploy.inputs import Decoded, Decoder
from gatlabel.deploy.resizing import Pixels
from gatlabel.deploy.sources import Sources, is_one_image
from gatlabel.deploy.streaming import OnError, decoded_batches, default_workers
from gatlabel.deploy.task_prediction import FIELDS, TaskPrediction, answers_of
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, unknown_choice
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.deploy.inputs import ImageInput
    from gatlabel.explain import ImageExplanation
    from gatlabel.model import Model

MOST_AT_ONCE = 2**20
MOST_WORKERS = 256


class TaskPredictor:
    """Predicts every task of a model, like :class:`~gatlabel.deploy.Predictor` for one task.

    Args:
        model: The model, with an image encoder, which is set to evaluation mode and moved to the
            device; or an exported one, which runs on the CPU.
        device: See :func:`~gatlabel.devices.choose_device`.
        batch_size: Maximum batch size.
        max_pixels: Maximum number of pixels (width times height) of an image.
        workers: Decoding threads; default: one per processor, at most 8.
        amp: Whether to run the model in mixed precision.

    Raises:
        InputError: If the model takes no images, or a task has the name of a prediction field.
    """

    def __init__(
        self,
        model: Model | ExportedTasks,
        *,
        device: str = "auto",
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
        workers: int | None = None,
        amp: bool = False,
    ) -> None:
        if model.preprocessing is None:
            raise InputError("the model takes no images: call it directly")
        for name in FIELDS:
            if name in model.tasks:
                raise InputError(f"the task name {name!r} is a field of predictions: rename it")
        self.batch_size = whole_number(batch_size, "batch_size", 1, MOST_AT_ONCE)
        workers = default_workers() if workers is None else workers
        self.workers = whole_number(workers, "workers", 0, MOST_WORKERS)
        self.device = choose_device(device)
        self.model: Model | ExportedTasks = model
        if isinstance(model, ExportedTasks):
            if device not in ("auto", "cpu") or amp:
                raise InputError("an exported model with several tasks runs on the CPU as it is")
            self.device = choose_device("cpu")
        else:
            self.model = model.eval().to(self.device)
        self.tasks = tuple(model.tasks)
        self.amp = amp
        self._transform = model.preprocessing.transform()
        limit = whole_number(max_pixels, "max_pixels", 1)
        self._decoder = Decoder(self._prepare, model.preprocessing.size, limit)

    def _prepare(self, pixels: Pixels) -> Pixels:
        import torch

        image = self._transform(torch.from_numpy(pixels).permute(2, 0, 1))
        ready: Pixels = image.permute(1, 2, 0).numpy()
        return ready

    def __call__(self, images: Sources, *, on_error: OnError = "stop") -> Any:
        """Predicts for one image or several; arguments as in ``Predictor``.

        Returns:
            One :class:`~gatlabel.deploy.TaskPrediction` for one image, an iterator for an iterator,
            else a list.

        Raises:
            InputError: If an image cannot be read (the message names it), or the model returns
                NaN.
        """
        found = self.stream(images, on_error=on_error)
        if is_one_image(images):
            return next(found)
        return found if isinstance(images, Iterator) else list(found)

    def stream(
        self, images: Sources, *, on_error: OnError = "skip", explain: int = 0
    ) -> Iterator[TaskPrediction]:
        """Predicts for images one by one; arguments as in ``Predictor.stream``.

        Raises:
            InputError: If an explanation is requested.
        """
        if on_error not in ("stop", "skip"):
            raise unknown_choice("on_error", on_error, ("stop", "skip"))
        if explain:
            raise InputError("explain: not with answers of several tasks; explain one image")
        return self._stream(images, on_error)

    def explain(
        self,
        image: ImageInput,
        *,
        task: str | None = None,
        labels: Sequence[str] | None = None,
        top: int = 3,
    ) -> ImageExplanation:
        """Explains the logits of one task for one image, as ``Predictor.explain``.

        Neighbours of a label in a graph of several tasks may be labels of another task.

        Args:
            image: One image.
            task: A multi-label or multi-class task; may be left out where there is only one.
            labels: The labels to explain; default: the ``top`` most probable ones.
            top: How many labels are explained where none are named.

        Raises:
            InputError: If the image cannot be read, or there is no such task or label.
        """
        if isinstance(self.model, ExportedTasks):
            raise InputError("an exported model cannot be explained: give the run that it is of")
        import torch

        from gatlabel.explain import explain_image
        from gatlabel.model.alone import KINDS, alone

        known = [name for name, each in self.model.tasks.items() if each.kind in KINDS]
        if task is None and len(known) != 1:
            raise InputError(f"explain one task: give --task (task=…), one of {', '.join(known)}")
        name = known[0] if task is None else task
        if name not in self.model.tasks:
            raise unknown_choice("task", name, known)
        own, one = self.model.tasks[name], alone(self.model, name)
        source, pixels, error = self._decoder((0, image))
        if pixels is None:
            raise error or InputError(f"cannot read {source}")
        for label in labels or ():
            if label not in own.outputs:
                raise unknown_choice("label", label, tuple(own.outputs))
        ready = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        with torch.inference_mode():
            outputs = self.model(ready[None].to(self.device))[name].float().cpu()
        chances = own.activation(outputs)[0]
        places = [one.labels.index(label) for label in own.outputs]
        every = np.zeros(len(one.labels))
        every[places] = chances.double().numpy()
        if labels is None:
            best = chances.argsort(descending=True, stable=True)[:top].tolist()
            labels = [own.outputs[k] for k in best]
        return explain_image(one, ready, labels=labels, top=top, probabilities=every, source=source)

    def _stream(self, images: Sources, on_error: OnError) -> Iterator[TaskPrediction]:
        for batch in decoded_batches(
            images,
            self._decoder,
            on_error=on_error,
            batch_size=self.batch_size,
            workers=self.workers,
        ):
            yield from self._predict(batch)

    def _predict(self, batch: Sequence[Decoded]) -> Iterator[TaskPrediction]:
        ready = [pixels for _, pixels, _ in batch if pixels is not None]
        answers = iter(self._answers(ready) if ready else ())
        for name, pixels, error in batch:
            if pixels is None:
                yield TaskPrediction(name, error=str(error))
            else:
                yield TaskPrediction(name, next(answers))

    def _answers(self, pixels: Sequence[Pixels]) -> Iterable[dict[str, Any]]:
        import torch

        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).to(self.device)
        kind = self.device.type
        half = torch.float16 if kind == "cuda" and not torch.cuda.is_bf16_supported() else None
        with (
            torch.inference_mode(),
            torch.autocast(kind, dtype=half or torch.bfloat16, enabled=self.amp),
        ):
            outputs = self.model(images)
        by_task = {}
        for name, task in self.model.tasks.items():
            own = outputs[name].float().cpu()
            if bool(own.isnan().any()):
                raise InputError("the model gives NaN: its training has diverged")
            by_task[name] = answers_of(task, own)
        return [{name: own[k] for name, own in by_task.items()} for k in range(len(pixels))]

    def __repr__(self) -> str:
        return f"TaskPredictor({', '.join(self.tasks)}; {self.model.image_size} px, {self.device})"
