"""A model that was exported, and runs without the network that it was made from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from gatlabel.deploy.description import FILE, Description, read_description
from gatlabel.deploy.formats import find_format
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, MissingExtraError, first_line
from gatlabel.labels import LabelSet


class ExportedModel:
    """From pictures to logits, as a bundle of :func:`gatlabel.deploy.export_model` has it.

    Args:
        run: From uint8 ``(B, 3, S, S)`` to logits ``(B, L)``.
        description: What it takes and gives.
        device: Where it runs.

    Attributes:
        labels: The L label names, in the order of the logits.
        preprocessing: What evaluation does to images first; its size is S.

    Shapes:
        pictures uint8 ``(B, 3, S, S)``, RGB, 0 to 255 -> logits float32 ``(B, L)``.
    """

    def __init__(
        self,
        run: Callable[[Tensor], Tensor],
        description: Description,
        device: torch.device,
    ) -> None:
        self._run = run
        self.description = description
        self.device = device
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
        place = choose_device(device, gpu=form.on_gpu)
        if place.type != "cpu" and not form.on_gpu:
            raise InputError(
                f"a bundle of format {kind} runs on the CPU, not on {str(place)!r}: say auto or "
                "cpu, or export with format pt2"
            )
        try:
            loaded = form.load(file, place)
        except MissingExtraError:
            raise
        except InputError as error:
            written = ", ".join(f"{name} {version}" for name, version in versions.items())
            raise InputError(f"{error} (written with {written})") from error
        description.require_same(loaded.description, Path(folder) / FILE, file)
        model = cls(loaded.run, description, place)
        model._try(Path(folder))
        return model

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Returns the logits ``(B, L)`` of pictures ``(B, 3, S, S)``.

        Raises:
            InputError: If the pictures are no uint8 batch of the model's size, or it cannot run.
        """
        size = self.preprocessing.size
        if pictures.dtype != torch.uint8 or pictures.shape[1:] != (3, size, size):
            raise InputError(
                f"this exported model takes uint8 pictures (B, 3, {size}, {size}), got "
                f"{pictures.dtype} {tuple(pictures.shape)}"
            )
        try:
            return self._run(pictures)
        except Exception as error:  # of whichever library runs the model
            raise InputError(f"the exported model fails: {first_line(error)}") from error

    @torch.inference_mode()
    def _try(self, folder: Path) -> None:
        """Runs one black picture: labels and model may come from two bundles."""
        size = self.preprocessing.size
        try:
            logits = self._run(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        except Exception as error:  # of whichever library runs the model, or of too large a size
            raise InputError(
                f"{folder / FILE} says image_size {size}, but the model does not take pictures of "
                f"{size} pixels: {first_line(error)}"
            ) from error
        if logits.shape != (1, len(self.labels)) or not logits.is_floating_point():
            raise InputError(
                f"{folder / FILE} names {len(self.labels)} labels, but the model gives logits of "
                f"shape {tuple(logits.shape)} and type {logits.dtype} for one picture: export it "
                "again"
            )

    def __repr__(self) -> str:
        return (
            f"ExportedModel({len(self.labels)} labels, {self.description.encoder}, "
            f"{self.preprocessing.size} px, {self.device})"
        )
