"""The measurements of a learning-rate ramp, and the rules for choosing a rate."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from gatlabel.engine.probing import Losses

WINDOW = 5  # steps over which the smoothed loss is averaged
FITTED = 3.0  # maximum fall of the loss in standard errors for a fitted start; about 10 for random
COLLAPSED = 1.5  # the ramp ends when the smoothed loss is this many times its minimum


@dataclass
class Ramp:
    """The measurements of a ramp of T steps.

    Attributes:
        start: Loss of every probe image before the first step, ``(B,)``.
        rates: Learning rate of the head in each step, ascending.
        losses: Loss of every probe image after each step, T times ``(B,)``; all are finite.
        lowest: Weights and buffers of the model at the lowest mean loss.
    """

    start: Losses
    rates: list[float] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)
    lowest: dict[str, Tensor] = field(default_factory=dict)

    def add(self, rate: float, losses: Losses, model: nn.Module) -> None:
        """Adds a step, with the model after it."""
        if all(losses.mean() < other.mean() for other in self.losses):
            self.lowest = copy.deepcopy(model.state_dict())
        self.rates.append(rate)
        self.losses.append(losses)

    def collapsed(self) -> bool:
        """Whether the smoothed loss is far above its minimum."""
        means = np.array([loss.mean() for loss in self.losses])
        if len(means) < WINDOW:
            return False
        smooth = np.convolve(means, np.ones(WINDOW) / WINDOW, mode="valid")
        return bool(smooth[-1] > COLLAPSED * smooth.min())

    def is_fitted(self) -> bool:
        """Whether the smoothed loss falls by at most three standard errors."""
        means, noise = self._smoothed()
        return bool(self.start.mean() - means.min() <= FITTED * noise)

    def largest_good(self) -> float:
        """Returns the largest rate with a smoothed loss within one standard error of the lowest."""
        means, noise = self._smoothed()
        return self.rates[int(np.flatnonzero(means - means.min() <= noise)[-1])]

    def _smoothed(self) -> tuple[Losses, float]:
        """Returns the smoothed losses, and the standard error of the lowest."""
        half, losses = WINDOW // 2, np.stack(self.losses)
        near = [losses[max(0, k - half) : k + half + 1].mean(axis=0) for k in range(len(losses))]
        smooth = np.stack(near)  # (T, B)
        means = smooth.mean(axis=1)
        best = smooth[means.argmin()]
        return means, best.std(ddof=1) / math.sqrt(len(best)) if len(best) > 1 else 0.0
