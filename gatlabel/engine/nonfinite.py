"""Handling of losses and gradients that are not finite: stop with a report, or skip the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gatlabel.batch import IMAGE, LABELS, Batch
from gatlabel.errors import InputError
from gatlabel.files import atomic_path
from gatlabel.logs import Log

NAMED = 5  # maximum number of images in the message; the file contains all


class DivergedError(InputError):
    """A loss, gradient or logit of training is not finite."""


class NonFiniteGuard:
    """Checks every step before the optimiser takes it.

    Args:
        on_nan: ``"stop"`` raises; ``"skip"`` takes no step on such a batch, and restores the
            buffers that it changed (batch norm updates its averages in the forward pass).
        ids: Names of the training images, by position.
        folder: Folder in which the batch is saved; ``None`` saves nothing.
        log: Called with one line for the first skipped batch of each epoch.
        gather: Returns the whole batch, given the share of this process.
    """

    def __init__(
        self,
        on_nan: Literal["stop", "skip"] = "stop",
        ids: Sequence[str] = (),
        folder: Path | None = None,
        log: Log = lambda line: None,
        gather: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> None:
        self.gather = gather
        self.on_nan, self.ids, self.folder, self.log = on_nan, ids, folder, log
        self._buffers: list[Tensor] = []
        self._skipped = 0

    def begin_epoch(self) -> None:
        """Resets the number of skipped batches."""
        self._skipped = 0

    def begin_step(self, module: nn.Module) -> None:
        """Stores the buffers before the forward pass, if steps may be skipped."""
        if self.on_nan == "skip":
            self._buffers = [buffer.detach().clone() for buffer in module.buffers()]

    def passes(
        self,
        values: dict[str, Tensor],
        module: nn.Module,
        batch: Batch,
        *,
        epoch: int,
        step: int,
        rate: float,
    ) -> bool:
        """Whether all values are finite; if not, saves the batch and skips it or stops training.

        Args:
            values: Scalars by name: the loss and the norm of the gradient.
            module: The module under training; its buffers are restored if the batch is skipped.
            batch: The images, their targets and positions.
            epoch: The epoch, counted from 0.
            step: The optimiser step of the run, counted from 0.
            rate: The largest learning rate of the step.

        Raises:
            DivergedError: With ``on_nan="stop"``.
        """
        stacked = torch.stack([value.detach().float() for value in values.values()])
        if bool(torch.isfinite(stacked).all()):
            return True
        batch = self.gather(batch)
        found = ", ".join(f"{n} {v:g}" for n, v in zip(values, stacked.tolist(), strict=True))
        where = f"epoch {epoch + 1}, step {step + 1}, learning rate {rate:.3g}: {found}"
        images = self._images(batch.index)
        if self.on_nan == "stop":
            saved = self._save(batch, where, epoch, step)
            raise DivergedError(
                f"training diverged in {where}; images of the batch: {images}{saved}. A lower --lr "
                "may help; --run.on-nan skip skips such batches"
            )
        with torch.no_grad():
            for buffer, kept in zip(module.buffers(), self._buffers, strict=True):
                buffer.copy_(kept)
        self._skipped += 1
        if self._skipped == 1:
            saved = self._save(batch, where, epoch, step)
            self.log(f"warning: batch skipped in {where}; its images: {images}{saved}")
        return False

    def end_epoch(self, epoch: int, steps: int) -> None:
        """Logs the number of skipped batches of an epoch.

        Raises:
            DivergedError: If all batches were skipped.
        """
        if self._skipped and self._skipped >= steps:
            raise DivergedError(
                f"every batch of epoch {epoch + 1} was skipped, since none had a finite loss and "
                "gradient: lower --lr, and check the images"
            )
        if self._skipped > 1:
            self.log(
                f"warning: {self._skipped} of {steps} batches of epoch {epoch + 1} were skipped"
            )

    def _images(self, positions: Tensor) -> str:
        names = [self.ids[i] if i < len(self.ids) else str(i) for i in positions.tolist()]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return ", ".join(names[:NAMED]) + more

    def _save(self, batch: Batch, where: str, epoch: int, step: int) -> str:
        """Saves the inputs of a batch; returns the path for the message."""
        if self.folder is None:
            return ""
        parts = (batch.inputs[IMAGE], batch.targets[LABELS], batch.index)
        images, targets, positions = (part.detach().cpu().contiguous().numpy() for part in parts)
        names = [self.ids[i] if i < len(self.ids) else str(i) for i in positions.tolist()]
        path = self.folder / f"nonfinite-epoch{epoch + 1}-step{step + 1}.npz"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                images=images,
                targets=targets,
                positions=positions,
                ids=np.array(names, dtype=np.str_),
                where=np.array(where, dtype=np.str_),
            )
        return f" (saved in {path})"
