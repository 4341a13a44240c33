"""Running a model over images, for metrics, features and predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from gatlabel.batch import IMAGE, Batch
from gatlabel.nn.modes import evaluating

if TYPE_CHECKING:
    from gatlabel.data import ImageLoader, ImageSource
    from gatlabel.encoders.preprocessing import Preprocessing
    from gatlabel.model import MultiLabelClassifier

BATCH = 64


class Runnable(Protocol):
    """A model or an exported model: it maps preprocessed images to logits."""

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of images."""

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits ``(B, L)`` of images."""


@torch.inference_mode()
def outputs(
    model: Callable[[Tensor], Tensor],
    batches: Iterable[Batch | Tensor],
    compute: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Tensor]:
    """Yields the outputs of a model, batch by batch in the order of the images.

    Args:
        model: A module, an exported model or any other function. A module is set to evaluation
            mode; its previous modes are restored at the end.
        batches: Batches of images: :class:`~gatlabel.batch.Batch` or plain tensors.
        compute: The function to apply to images ``(B, 3, H, W)`` on the model's device; by default
            the model, which returns logits ``(B, L)``.

    Returns:
        An iterator of tensors of B rows each, on the CPU.
    """
    compute = compute or model
    device = device_of(model)
    with evaluating(model) if isinstance(model, nn.Module) else nullcontext():
        for batch in batches:
            images = batch.inputs[IMAGE] if isinstance(batch, Batch) else batch
            yield compute(images.to(device)).cpu()


def whole_images(
    model: Runnable, source: ImageSource, *, batch_size: int = BATCH, workers: int = 0
) -> ImageLoader:
    """Creates a loader of the images of a source, in order, preprocessed for a model.

    Args:
        model: Only its preprocessing is used.
        source: N images.
        batch_size: Images in a batch.
        workers: Processes that load images.

    Raises:
        InputError: If there are no images.
    """
    from gatlabel.data import ImageDataset, loader

    dataset = ImageDataset(source, model.preprocessing.transform())
    return loader(dataset, batch_size, train=False, workers=workers)


def predict_logits(
    model: Runnable, source: ImageSource, *, batch_size: int = BATCH, workers: int = 0
) -> Tensor:
    """Returns the logits of the images of a source: float32 ``(N, L)``, on the CPU.

    A foldable head is folded first; see :func:`whole_images` for the arguments.
    """
    batches = whole_images(model, source, batch_size=batch_size, workers=workers)
    fold = getattr(model, "fold", None)  # exported models have none
    return torch.cat([part.float() for part in outputs(fold() if fold else model, batches)])


def predict_features(
    model: MultiLabelClassifier, source: ImageSource, *, batch_size: int = BATCH, workers: int = 0
) -> Tensor:
    """Returns the head's inputs for the images of a source, float32 on the CPU.

    Pooled features ``(N, D)``, or maps ``(N, D, h, w)``; see :func:`whole_images` for the
    arguments.
    """
    batches = whole_images(model, source, batch_size=batch_size, workers=workers)
    return torch.cat([part.float() for part in outputs(model, batches, model.features)])


@contextmanager
def on_device(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Moves a model to a device within the context, and to the CPU at its end."""
    model.to(device)
    try:
        yield
    finally:
        model.cpu()


def device_of(model: Any) -> torch.device:
    """Returns the device of a model; the CPU if it has no such attribute."""
    if isinstance(model, nn.Module):
        return next(model.parameters(), torch.empty(0)).device
    device: torch.device = getattr(model, "device", torch.device("cpu"))
    return device
