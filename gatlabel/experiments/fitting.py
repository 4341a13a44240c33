"""Training of any head on features in seconds: AdamW, one cycle, averaged weights."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.baselines.similarity.start import Sharing
from gatlabel.batch import FEATURES, LABELS, Batch
from gatlabel.engine.loop import train
from gatlabel.engine.supervised import Supervised
from gatlabel.experiments.optimizing import FitOptions, anchor_step, make_optimizer
from gatlabel.missing import Completion
from gatlabel.missing.starting import Starter, completed_start
from gatlabel.model import Model
from gatlabel.nn import Head
from gatlabel.nn.heads.protocols import AuxiliaryLosses, starts_linear
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.tasks import MultiLabelTask


class Features:
    """Features of some images, scaled, as batches of float32.

    Args:
        array: ``(N, …)``, usually mapped from disk.
        rows: Positions of the images, in order; by default all.
        scale: Divisor of the features; by default their root mean square, so that the same
            learning rates suit all encoders.
    """

    def __init__(
        self, array: NDArray[Any], rows: NDArray[np.int64] | None = None, scale: float | None = None
    ) -> None:
        self.rows = np.arange(len(array)) if rows is None else rows
        # vectors are small and kept in memory; maps stay on disk
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
    loss: nn.Module | None = None, groups: Sequence[Hashable] | None = None,
    choice: SimilarityChoice | None = None,
) -> float:  # fmt: skip
    """Trains a head in place and leaves it with averaged weights, in evaluation mode.

    The order of the images depends on ``seed`` only, so that all methods get the same batches.

    Args:
        head: The head.
        features: Features of the N training images.
        targets: float32 ``(N, L)``, -1 for unknown; used if there is no completion.
        options: Options of the fit.
        seed: Seed of the order of the images.
        completion: Provides the targets and is updated after every epoch.
        start: Fits the linear classifier that initialises the head and anchors it, given targets.
            Completed targets need a second fit, in which estimates of the first replace unknown
            targets (:func:`completed_start`). Labels share as in the head
            (:meth:`LinearInit.mixing_matrix`), or in a head without sharing as in the completion.
            By default, the head keeps its initialisation and is anchored to zero.
        loss: The loss; binary cross-entropy by default.
        groups: The group of each image, as in ``start``; used with completion only.
        choice: The choice of similarity by which the head shares classifiers, if any. Its mixing
            matrix lacks the map to classifiers of labels without evidence of their own.

    Returns:
        Training time in seconds, excluding the initialisation.
    """
    size = min(options.batch_size, len(features))
    batches = len(features) // size
    epochs = max(options.epochs, -(-options.least_steps // batches))
    anchored: list[Tensor] = []
    if start is not None:
        sharing: Sharing = choice
        if completion is None or bool(completion.known.all()):
            if sharing is None and starts_linear(head):
                sharing = head.mixing_matrix()
            linear = start(targets, sharing)
        else:
            if sharing is None:
                shared = head if isinstance(head, SharedClassifierHead) else completion
                sharing = shared.mixing_matrix()
            every = features[np.arange(len(features))]
            linear = completed_start(start, completion, every, sharing, groups)
        anchored = head.init_linear(linear.weight, linear.bias) if starts_linear(head) else []
    began = time.perf_counter()  # the initialisation is computed once for many methods
    optimizer, schedule = make_optimizer(head, options, anchored, epochs * batches)
    order = torch.Generator().manual_seed(seed)

    def batches_of(epoch: int) -> Iterator[Batch]:
        known = targets if completion is None else completion.targets
        shuffled = torch.randperm(len(features), generator=order)
        for first in range(0, batches * size, size):
            rows = shuffled[first : first + size]
            yield Batch({FEATURES: features[rows.numpy()]}, {LABELS: known[rows]}, rows)

    def complete(epoch: int) -> None:
        if completion is not None:
            # unary logits: completion itself adds the evidence of the neighbours
            completion.update(predict(head, features, unary=True), (epoch + 1) / epochs)

    names = head.labels or [str(number) for number in range(head.out_features)]
    train(
        Model({}, [MultiLabelTask(LABELS, names, head, loss)]),
        Supervised(),
        batches_of,
        optimizer,
        schedule,
        epochs,
        ema=options.ema,
        after_step=lambda: anchor_step(optimizer),
        after_epoch=complete,
    )
    return time.perf_counter() - began


@torch.no_grad()
def predict(head: Head, features: Features, batch_size: int = 512, unary: bool = False) -> Tensor:
    """Returns the logits ``(N, L)`` of all images, in evaluation mode.

    Args:
        head: The head.
        features: Features of N images.
        batch_size: Batch size; 64 if they are maps.
        unary: Return the logits of :meth:`AuxiliaryLosses.unary_logits`, if the head has them.
    """
    head.eval()
    rows = np.arange(len(features))
    size = batch_size if not head.needs_map else 64
    logits_of = head.unary_logits if unary and isinstance(head, AuxiliaryLosses) else head
    return torch.cat([logits_of(features[rows[k : k + size]]) for k in range(0, len(rows), size)])
