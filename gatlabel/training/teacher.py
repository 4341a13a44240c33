"""Distillation: a trained model whose probabilities are mixed into the targets of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.losses.options import DistillationOptions
from gatlabel.model import MultiLabelClassifier


class Teacher:
    r"""A trained model whose predictions are mixed into targets.

    With the teacher's logits t, temperature T and weight w, a known target y becomes

    .. math:: (1 - w)\, y + w\, \sigma(t / T)

    (Hinton et al. 2015, arXiv 1503.02531, for binary labels; cross-entropy is linear in the target,
    so a mixture of targets is a mixture of losses).

    Args:
        model: The teacher.
        labels: The L labels of the targets; those that the teacher lacks are not changed.
        options: Weight and temperature.

    Raises:
        InputError: If the teacher has none of the labels.
    """

    def __init__(
        self,
        model: MultiLabelClassifier,
        labels: Sequence[str],
        options: DistillationOptions,
    ) -> None:
        own = LabelSet(model.labels)
        known = [(k, own.index(name)) for k, name in enumerate(labels) if name in own]
        if not known:
            raise InputError(
                f"teacher={options.teacher}: has none of the {len(labels)} labels, such as "
                f"{labels[0]!r}"
            )
        self.model = model.eval().requires_grad_(False)
        self.options = options
        self._places = torch.tensor(known).T  # (2, K): ours, and the teacher's

    @classmethod
    def load(cls, options: DistillationOptions, labels: Sequence[str]) -> Self | None:
        """Loads the model that the options name; ``None`` if they name none.

        Raises:
            InputError: If it cannot be loaded, or has none of the labels.
        """
        if options.teacher is None:
            return None
        if not options.teacher.is_dir():
            raise InputError(
                f"teacher: there is no folder {options.teacher}; give that of a run or a model"
            )
        try:
            model = MultiLabelClassifier.from_pretrained(options.teacher)
        except InputError as error:
            raise InputError(f"teacher: {error}") from error
        return cls(model, labels, options)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Returns the probabilities of its labels: float32 ``(B, K)``.

        Args:
            images: uint8 ``(B, 3, H, W)``; resized if the teacher was trained at another size.
        """
        self.model.to(images.device)
        size = self.model.image_size
        if images.shape[-1] != size:
            shape = (round(images.shape[-2] * size / images.shape[-1]), size)
            resized = F.interpolate(images.float(), shape, mode="bilinear", antialias=True)
            images = resized.round().clamp(0, 255).to(torch.uint8)
        logits: Tensor = self.model(images)
        return torch.sigmoid(logits.float() / self.options.temperature)

    def mixed(self, images: Tensor, targets: Tensor) -> Tensor:
        """Returns targets ``(B, L)`` mixed with the teacher's probabilities.

        Args:
            images: uint8 ``(B, 3, H, W)``.
            targets: ``(B, L)`` in [0, 1], or -1.
        """
        ours, theirs = self._places.to(targets.device)
        taught = self.probabilities(images)[:, theirs].to(targets.dtype)
        given = targets[:, ours]
        weight = self.options.weight
        new = torch.where(given == UNKNOWN, UNKNOWN, (1 - weight) * given + weight * taught)
        if self.options.unknown:
            new = torch.where(given == UNKNOWN, taught, new)
        return targets.index_copy(1, ours, new)
