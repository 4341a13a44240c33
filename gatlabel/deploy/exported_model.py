"""An exported model, which runs without the code of the original network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from gatlabel.deploy.description import FILE, Description, read_description
from gatlabel.deploy.formats import find_format
from gatlabel.errors import InputError, MissingExtraError, first_line
from gatlabel.labels import LabelSet

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ExportedModel:
    """A model from a bundle of :func:`gatlabel.deploy.export_model`: from images to logits.

    Args:
        run: From uint8 ``(B, 3, S, S)`` to logits ``(B, L)``.
        description: Its inputs and outputs.
        device: The device it runs on, as a name of torch.
        uses_torch: Whether torch runs it.

    Attributes:
        labels: The L label names, in the order of the logits.
        preprocessing: Preprocessing of images in evaluation; its size is S.

    Shapes:
        images uint8 ``(B, 3, S, S)``, RGB, 0 to 255 -> logits float32 ``(B, L)``; of any height
        and width if the description has ``any_size``.
    """

    def __init__(
        self,
        run: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
        description: Description,
        device: str,
        *,
        uses_torch: bool = True,
    ) -> None:
        self._run = run
        self.description = description
        self.device = device
        self.uses_torch = uses_torch
        self.labels: LabelSet = description.labels
        self.preprocessing = description.preprocessing

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str | torch.device = "auto") -> Self:
        """Loads a bundle.

        Args:
            folder: The folder with ``bundle.json``.
            device: ``"auto"``, or a torch device. The format ``onnx`` runs on the CPU here.

        Raises:
            InputError: If a file is missing, damaged or of another format, or the format does not
                run on that device.
            MissingExtraError: If the extra ``onnx`` is needed and not installed.
        """
        description, kind, file, versions = read_description(Path(folder))
        try:
            form = find_format(kind)
        except InputError as error:
            raise InputError(f"{Path(folder) / FILE}: {error}") from error
        place = _place(device, kind, form.uses_torch)
        try:
            loaded = form.load(file, place)
        except MissingExtraError:
            raise
        except InputError as error:
            written = ", ".join(f"{name} {version}" for name, version in versions.items())
            raise InputError(f"{error} (written with {written})") from error
        description.require_same(loaded.description, Path(folder) / FILE, file)
        model = cls(loaded.run, description, place, uses_torch=form.uses_torch)
        model._try(Path(folder))
        return model

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits of a batch as a tensor, on the device of the images.

        Raises:
            InputError: As :meth:`logits` does.
        """
        import torch

        if images.dtype != torch.uint8:
            raise self._refusal(images.dtype, images.shape)
        logits = self.logits(images.detach().cpu().numpy())
        return torch.from_numpy(logits).to(images.device)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Returns the logits ``(B, L)`` of images ``(B, 3, S, S)``, for any B.

        Raises:
            InputError: If the images are not a uint8 batch of the model's size, or it cannot run.
        """
        size = self.preprocessing.size
        fits = images.ndim == 4 and images.shape[1] == 3
        if not self.description.any_size:
            fits = images.shape[1:] == (3, size, size)
        if images.dtype != np.uint8 or not fits:
            raise self._refusal(images.dtype, images.shape)
        try:
            return run_in_batches(self._run, images, self.description.batch)
        except Exception as error:  # the error type depends on the library
            raise InputError(f"the exported model fails: {first_line(error)}") from error

    def _refusal(self, dtype: object, shape: Sequence[int]) -> InputError:
        sides = ("height", "width") if self.description.any_size else (self.preprocessing.size,) * 2
        return InputError(
            f"this exported model takes uint8 images (B, 3, {sides[0]}, {sides[1]}), got {dtype} "
            f"{tuple(shape)}"
        )

    def _try(self, folder: Path) -> None:
        """Runs one black image, in case labels and model come from different bundles."""
        size = self.preprocessing.size
        try:
            black = np.zeros((1, 3, size, size), np.uint8)
            logits = run_in_batches(self._run, black, self.description.batch)
        except Exception as error:  # the error type depends on the library; also raised for sizes
            raise InputError(
                f"{folder / FILE} has image_size {size}, but the model does not take images of "
                f"{size} pixels: {first_line(error)}"
            ) from error
        if logits.shape != (1, len(self.labels)) or logits.dtype.kind != "f":
            raise InputError(
                f"{folder / FILE} names {len(self.labels)} labels, but the model gives logits of "
                f"shape {tuple(logits.shape)} and type {logits.dtype} for one image: export it "
                "again"
            )

    def __repr__(self) -> str:
        return (
            f"ExportedModel({len(self.labels)} labels, {self.description.encoder}, "
            f"{self.preprocessing.size} px, {self.device})"
        )


def run_in_batches(
    run: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    images: NDArray[np.uint8],
    batch: int | None,
) -> NDArray[np.floating]:
    """Runs a model on images ``(B, 3, h, w)``; pads with black images to a fixed batch size."""
    if batch is None or len(images) == 0:
        return run(images)
    parts = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        missing = batch - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
        parts.append(run(part)[: batch - missing])
    return np.concatenate(parts)


def _place(device: str | torch.device, kind: str, uses_torch: bool) -> str:
    """Returns the device to run on; imports torch only if the format or the device needs it."""
    if not uses_torch and device in ("auto", "cpu"):
        return "cpu"
    from gatlabel.devices import choose_device

    place = str(choose_device(device, gpu=uses_torch))
    if place != "cpu" and not uses_torch:
        raise InputError(
            f"a bundle of format {kind} runs on the CPU, not on {place!r}: give auto or cpu, or "
            "export with format pt2"
        )
    return place
