"""What a ramp of the learning rate has measured, and the rules on it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from gatlabel.engine.probing import Losses

WINDOW = 5  # steps that the smoothed loss is a mean of
FITTED = 3.0  # standard errors that the loss of a fitted start may fall; of random ones it is ten
COLLAPSED = 1.5  # the ramp ends where the smoothed loss is this many times its lowest


@dataclass
class Ramp:
    """What a ramp of T steps has measured.

    Attributes:
        start: The loss of every probe image before the first step, ``(B,)``.
        rates: The head's rate of each step, ascending.
        losses: The loss of every probe image after each step, T times ``(B,)``; all are finite.
        lowest: The weights and buffers of the model where the mean loss was lowest.
    """

    start: Losses
    rates: list[float] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)
    lowest: dict[str, Tensor] = field(default_factory=dict)

    def add(self, rate: float, losses: Losses, model: nn.Module) -> None:
        """Adds the step of a rate, with the model after it."""
        if all(losses.mean() < other.mean() for other in self.losses):
            self.lowest = copy.deepcopy(model.state_dict())
        self.rates.append(rate)
        self.losses.append(losses)

    def collapsed(self) -> bool:
        """Whether the mean loss of the last steps is far above that of the best."""
        means = np.array([loss.mean() for loss in self.losses])
        if len(means) < WINDOW:
            return False
        smooth = np.convolve(means, np.ones(WINDOW) / WINDOW, mode="valid")
        return bool(smooth[-1] > COLLAPSED * smooth.min())

    def is_fitted(self) -> bool:
        """Whether the smoothed loss falls below the start by no more than thrice its noise."""
        means, noise = self._smoothed()
        return bool(self.start.mean() - means.min() <= FITTED * noise)

    def largest_good(self) -> float:
        """Returns the largest rate whose smoothed loss is within the noise of the lowest."""
        means, noise = self._smoothed()
        return self.rates[int(np.flatnonzero(means - means.min() <= noise)[-1])]

    def _smoothed(self) -> tuple[Losses, float]:
        """Returns the mean of each loss and its neighbours, and the error of the lowest."""
        half, losses = WINDOW // 2, np.stack(self.losses)
        near = [losses[max(0, k - half) : k + half + 1].mean(axis=0) for k in range(len(losses))]
        smooth = np.stack(near)  # (T, B)
        means = smooth.mean(axis=1)
        best = smooth[means.argmin()]
        return means, best.std(ddof=1) / math.sqrt(len(best)) if len(best) > 1 else 0.0
