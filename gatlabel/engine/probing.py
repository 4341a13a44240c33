"""The loss of a model under training on the same images again and again."""

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
    """Some training images with a known label, whose loss is taken after every step.

    Always in the modes that training has and with the same dropout, so the noise between batches
    and masks cancels in differences.

    Args:
        module: What is trained.
        batches: Training batches; as many are taken as hold 64 images with a known label.
        most: The most batches to take.

    Raises:
        InputError: If no label of these images is known.
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
                "lr=find: no label is known of the training images that would judge a learning "
                "rate; give a number"
            )

    @torch.no_grad()
    def losses(self) -> Losses:
        """Returns the loss of each image as the model is now: float64 ``(B,)``."""
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
