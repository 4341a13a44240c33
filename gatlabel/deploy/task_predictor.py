"""From a trained run with several tasks to the answers of every task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gatlabel.data.image_files import MAX_PIXELS
from gatlabel.deploy.inputs import Decoded, Decoder
from gatlabel.deploy.resizing import Pixels
from gatlabel.deploy.sources import Sources, is_one_image
from gatlabel.deploy.streaming import OnError, decoded_batches, default_workers
from gatlabel.deploy.task_prediction import FIELDS, TaskPrediction, answers_of
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, unknown_choice
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.model import Model

MOST_AT_ONCE = 2**20
MOST_WORKERS = 256


class TaskPredictor:
    """Answers every task of a model for images, as :class:`~gatlabel.deploy.Predictor` labels them.

    Args:
        model: The model, with an encoder of images; it is put in evaluation mode and on the device.
        device: See :func:`~gatlabel.devices.choose_device`.
        batch_size: Most images to run at once.
        max_pixels: Most pixels (width times height) that an image may have.
        workers: Threads that decode; default: one per processor, at most 8.
        amp: Whether to run the model in mixed precision.

    Raises:
        InputError: If the model takes no images, or a task is called as a field of predictions.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: str = "auto",
        batch_size: int = 32,
        max_pixels: int = MAX_PIXELS,
        workers: int | None = None,
        amp: bool = False,
    ) -> None:
        if model.preprocessing is None:
            raise InputError("the model takes no images: run it by itself")
        for name in FIELDS:
            if name in model.tasks:
                raise InputError(f"a task is called {name!r}, which predictions call otherwise")
        self.batch_size = whole_number(batch_size, "batch_size", 1, MOST_AT_ONCE)
        workers = default_workers() if workers is None else workers
        self.workers = whole_number(workers, "workers", 0, MOST_WORKERS)
        self.device = choose_device(device)
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
        """Answers for one image, or several; arguments as in ``Predictor``.

        Returns:
            One :class:`~gatlabel.deploy.TaskPrediction` for one image, an iterator for an iterator,
            else a list.

        Raises:
            InputError: If an image cannot be read (the message names it), or the model gives NaN.
        """
        found = self.stream(images, on_error=on_error)
        if is_one_image(images):
            return next(found)
        return found if isinstance(images, Iterator) else list(found)

    def stream(
        self, images: Sources, *, on_error: OnError = "skip", explain: int = 0
    ) -> Iterator[TaskPrediction]:
        """Answers for images one after the other; arguments as in ``Predictor.stream``.

        Raises:
            InputError: If an explanation is asked for.
        """
        if on_error not in ("stop", "skip"):
            raise unknown_choice("on_error", on_error, ("stop", "skip"))
        if explain:
            self.explain()
        return self._stream(images, on_error)

    def explain(self, *given: Any, **options: Any) -> NoReturn:
        """Refuses: explanations are for models with one task.

        Raises:
            InputError: Always.
        """
        raise InputError("a model with several tasks cannot be explained, only one with one task")

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
