"""A moving average of the weights, used for validation and by the saved model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

AverageFunction = Callable[[list[Tensor], list[Tensor], Tensor | int], None]


def warmed_average(decay: float) -> AverageFunction:
    """Returns ``average ← d · average + (1 − d) · current`` with an increasing decay ``d``.

    ``d = min(decay, (1 + n) / (10 + n))`` after ``n`` updates, as in TensorFlow's
    ``ExponentialMovingAverage``. With a constant decay, the average of a short run would remain
    close to the random initialisation.

    Args:
        decay: The final decay, in [0, 1).
    """

    @torch.no_grad()
    def update(average: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
        n = float(updates)
        share = 1 - min(decay, (1 + n) / (10 + n))
        if average[0].is_floating_point():
            torch._foreach_lerp_(average, current, share)
        else:  # counters, such as batch norm's, are copied
            torch._foreach_copy_(average, current)

    return update


class MovingAverage(WeightAveraging):
    """Lightning's weight averaging with :func:`warmed_average`, of ``module.model`` alone.

    The other parts of a module are not averaged, since averaged counts and optimiser states of a
    balancer, or averaged running statistics of a loss, would be meaningless.

    Args:
        decay: The final decay, in [0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=warmed_average(decay))

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Makes the averaged module share all parts but the model with the trained one."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            assert self._average_model is not None
            for name, part in pl_module.named_children():
                if name != "model":
                    setattr(self._average_model.module, name, part)
