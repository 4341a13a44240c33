"""The loss of a model on fixed images, measured repeatedly during training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from gatlabel.batch import Batch
from gatlabel.data.seeds import mixed
from gatlabel.engine.module import TrainingModule
from gatlabel.engine.supervised import Supervised
from gatlabel.errors import InputError
from gatlabel.tasks.task import all_absent

Losses = NDArray[np.float64]
PROBE = 64  # images


class Probe:
    """Some training images with a known label, whose loss is computed after every step.

    The modules are in their training modes and dropout is the same every time, so that the noise of
    batches and masks cancels in differences.

    Args:
        module: The module under training.
        batches: Training batches, which are used until there are 64 images with a known label.
        most: Maximum number of batches.

    Raises:
        InputError: If these images have no known label.
    """

    def __init__(self, module: TrainingModule, batches: Iterator[Batch], most: int) -> None:
        self.module = module
        assert isinstance(module.objective, Supervised)
        self._objective = module.objective
        self.batches: list[Batch] = []
        self.rows: list[list[int]] = []  # of each batch, the images with a known label
        for batch in itertools.islice(batches, most):
            self.batches.append(batch.to(module.device))
            targets = self._objective.current_targets(self.batches[-1])
            absent = [all_absent(task, targets[name]) for name, task in module.model.tasks.items()]
            known = ~torch.stack(absent).all(0)
            self.rows.append(known.nonzero()[:, 0].tolist())
            if sum(map(len, self.rows)) >= PROBE:
                break
        if not any(self.rows):
            raise InputError(
                "lr=find: the training images on which a learning rate is chosen have no known "
                "label; give a number"
            )

    @torch.no_grad()
    def losses(self) -> Losses:
        """Returns the current loss of each image: float64 ``(B,)``."""
        losses = []
        for number, (batch, rows) in enumerate(zip(self.batches, self.rows, strict=True)):
            torch.manual_seed(mixed(self.module.spec.seed, number, 0))
            model = self.module.model
            outputs = self._objective.outputs_and_losses(model, batch, 0)[0]
            targets = self._objective.current_targets(batch)
            for row in rows:
                each = (
                    task.loss_of(outputs[name][[row]].float(), targets[name][[row]])
                    for name, task in model.tasks.items()
                )
                losses.append(sum(each, torch.zeros((), device=self.module.device)))
        return torch.stack(losses).double().cpu().numpy()
