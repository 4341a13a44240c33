"""Completion of one task's unknown targets during training."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.engine.ranks import Ranks
from gatlabel.labels import UNKNOWN
from gatlabel.missing import Completion


class Completing:
    """Provides the targets of training images by position, and updates them every epoch.

    Args:
        completion: The completion of the targets of N training images.
        images: int64 ``(N,)``: the positions of these images among all that are trained on;
            default: they are all of them, in order. The others are not labelled at all.
    """

    def __init__(self, completion: Completion, images: Tensor | None = None) -> None:
        self.completion = completion
        self._rows: Tensor | None = None  # by position, the row of an image; -1 where there is none
        if images is not None:
            self._rows = torch.full((int(images.max()) + 1,), -1)
            self._rows[images] = torch.arange(len(images))
        # targets of all training images, on the device; None until the first step of an epoch
        self._targets: Tensor | None = None
        self._logits: Tensor | None = None
        self._seen: list[Tensor] = []  # positions of the images with stored logits

    def targets(self, index: Tensor, device: torch.device) -> Tensor:
        """Returns the current targets of images, ``(B, L)``."""
        if self._targets is None:
            self._targets = self.completion.targets.to(device)
        rows = self._of(index).to(device)
        return self._targets[rows.clamp(min=0)].where(rows[:, None] >= 0, float(UNKNOWN))

    def _of(self, index: Tensor) -> Tensor:
        """Returns the rows ``(B,)`` of images, -1 for those that are not labelled."""
        if self._rows is None:
            return index
        rows = self._rows.to(index.device)
        inside = index < len(rows)
        return rows[index.where(inside, 0)].where(inside, -1)

    def keep(self, logits: Tensor, index: Tensor) -> None:
        """Stores the logits of training images, ``(B, L)``, for the next update."""
        assert self._targets is not None
        if self._logits is None:
            self._logits = torch.full_like(self._targets, torch.nan)
        rows = self._of(index).to(self._logits.device)
        mine = rows >= 0
        self._seen.append(rows[mine])
        self._logits[rows[mine]] = logits.detach().to(self._logits.dtype)[mine]

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
