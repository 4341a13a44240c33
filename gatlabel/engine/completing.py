"""Completion of one task's unknown targets during training."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.engine.ranks import Ranks
from gatlabel.missing import Completion


class Completing:
    """Provides the targets of training images by position, and updates them every epoch.

    Args:
        completion: The completion of the targets of all training images.
    """

    def __init__(self, completion: Completion) -> None:
        self.completion = completion
        # targets of all training images, on the device; None until the first step of an epoch
        self._targets: Tensor | None = None
        self._logits: Tensor | None = None
        self._seen: list[Tensor] = []  # positions of the images with stored logits

    def targets(self, index: Tensor, device: torch.device) -> Tensor:
        """Returns the current targets of images, ``(B, L)``."""
        if self._targets is None:
            self._targets = self.completion.targets.to(device)
        return self._targets[index.to(device)]

    def keep(self, logits: Tensor, index: Tensor) -> None:
        """Stores the logits of training images, ``(B, L)``, for the next update."""
        assert self._targets is not None
        if self._logits is None:
            self._logits = torch.full_like(self._targets, torch.nan)
        rows = index.to(self._logits.device)
        self._seen.append(rows)
        self._logits[rows] = logits.detach().to(self._logits.dtype)

    def update(self, progress: float, ranks: Ranks | None) -> None:
        """Updates the targets from the stored logits of all processes."""
        if self._logits is None:
            return
        if ranks is not None:
            mine = torch.cat(self._seen)
            rows = ranks.gather(mine)
            self._logits[rows] = ranks.gather(self._logits[mine])
        self._seen = []
        self.completion.update(self._logits, progress)
        self._targets = self._logits = None
