"""Trains any head on features in seconds: AdamW, one cycle, a moving average of the weights."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatlabel.experiments.optimizing import FitOptions, make_optimizer, pull_back
from gatlabel.losses import BCELoss, set_progress
from gatlabel.missing import Completion
from gatlabel.missing.starting import Starter, completed_start
from gatlabel.nn import Head
from gatlabel.nn.heads.protocols import AuxiliaryLosses, forward_losses, starts_linear
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.training.averaging import warmed_average


class Features:
    """Features of some images, scaled, as batches of float32.

    Args:
        array: ``(N, …)``, usually mapped from disk.
        rows: Which images, in which order; all if left out.
        scale: What features are divided by; their root mean square if left out, so that the same
            learning rates suit all encoders.
    """

    def __init__(
        self, array: NDArray[Any], rows: NDArray[np.int64] | None = None, scale: float | None = None
    ) -> None:
        self.rows = np.arange(len(array)) if rows is None else rows
        # vectors are small and wanted whole; maps stay on disk
        self._array = array if array.ndim > 2 else torch.from_numpy(np.array(array[self.rows]))
        self.width = int(array.shape[1])
        self.scale = self._root_mean_square() if scale is None else scale

    def __len__(self) -> int:
        return len(self.rows)

    def _root_mean_square(self, most: int = 1000) -> float:
        step = max(1, len(self) // most)
        return float(self._raw(np.arange(0, len(self), step)).double().pow(2).mean().sqrt()) or 1.0

    def _raw(self, which: NDArray[np.int64]) -> Tensor:
        if isinstance(self._array, Tensor):
            return self._array[torch.from_numpy(which)].float()
        return torch.from_numpy(self._array[self.rows[which]].astype(np.float32))

    def __getitem__(self, which: NDArray[np.int64]) -> Tensor:
        """Returns the features of the images at these positions: float32 ``(B, …)``."""
        return self._raw(which) / self.scale


def fit_head(
    head: Head, features: Features, targets: Tensor, options: FitOptions, seed: int,
    completion: Completion | None = None, start: Starter | None = None,
    loss: nn.Module | None = None,
) -> float:  # fmt: skip
    """Trains a head in place; afterwards it holds the averaged weights, in evaluation mode.

    The order of the images depends on ``seed`` only, so that methods see the same batches.

    Args:
        head: The head.
        features: Of the N training images.
        targets: float32 ``(N, L)``, -1 for unknown; used where there is no completion.
        options: How.
        seed: Of the order of the images.
        completion: Gives the targets, and is updated after every epoch.
        start: Finds the linear classifier to start from and to be held to, given targets; if they
            are completed, it is asked again, with what the first one believes of the unknown ones
            (:func:`completed_start`). Labels share as in the head
            (:meth:`LinearInit.mixing_matrix`); in one that cannot, as the graph says that unknown
            targets are completed by. If left out, the head starts as it is and is held to zero.
        loss: What is minimised; binary cross-entropy by default.

    Returns:
        Seconds that it took, the start apart.
    """
    size = min(options.batch_size, len(features))
    batches = len(features) // size
    epochs = max(options.epochs, -(-options.least_steps // batches))
    held: list[Tensor] = []
    if start is not None:
        if completion is None or bool(completion.known.all()):
            linear = start(targets, head.mixing_matrix() if starts_linear(head) else None)
        else:
            shared = head if isinstance(head, SharedClassifierHead) else completion
            mixing = shared.mixing_matrix()
            every = features[np.arange(len(features))]
            linear = completed_start(start, completion, every, mixing)
        held = head.init_linear(linear.weight, linear.bias) if starts_linear(head) else []
    began = time.perf_counter()  # the start is found once for many methods
    optimizer, schedule = make_optimizer(head, options, held, epochs * batches)
    loss_of = BCELoss() if loss is None else loss
    current = [p.detach() for p in head.parameters()]
    average = [p.clone() for p in current]
    update = warmed_average(options.ema)
    order = torch.Generator().manual_seed(seed)
    head.train()
    steps = 0
    for epoch in range(epochs):
        set_progress(loss_of, epoch / epochs, epoch)
        known = targets if completion is None else completion.targets
        shuffled = torch.randperm(len(features), generator=order)
        for first in range(0, batches * size, size):
            rows = shuffled[first : first + size]
            batch = features[rows.numpy()]
            losses = forward_losses(head, batch, known[rows], loss_of)[1]
            total = torch.stack(losses).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            optimizer.step()
            pull_back(optimizer)
            schedule.step()
            if options.ema and average:
                update(average, current, steps)
            steps += 1
        if completion is not None:
            # unary: completion adds the evidence of the neighbours itself
            completion.update(predict(head, features, unary=True), (epoch + 1) / epochs)
            head.train()
    if options.ema:
        with torch.no_grad():
            for parameter, value in zip(head.parameters(), average, strict=True):
                parameter.copy_(value)
    head.eval()
    return time.perf_counter() - began


@torch.no_grad()
def predict(head: Head, features: Features, batch_size: int = 512, unary: bool = False) -> Tensor:
    """Returns the logits ``(N, L)`` of all images, in evaluation mode.

    Args:
        head: The head.
        features: Of N images.
        batch_size: Images at a time; 64 if they are maps.
        unary: The logits of :meth:`AuxiliaryLosses.unary_logits`, where the head has them.
    """
    head.eval()
    rows = np.arange(len(features))
    size = batch_size if not head.needs_map else 64
    logits_of = head.unary_logits if unary and isinstance(head, AuxiliaryLosses) else head
    return torch.cat([logits_of(features[rows[k : k + size]]) for k in range(0, len(rows), size)])
