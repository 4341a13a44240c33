"""FAMO: weights with which the logarithms of all losses decrease at the same rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatlabel.engine.balancing.base import AdamState, Balancer
from gatlabel.errors import InputError

SMALLEST = 1e-8


class Famo(Balancer):
    """Fast adaptive multitask optimisation (Liu, Feng, Stone and Liu, NeurIPS 2023, algorithm 1).

    The loss is ``sum_k z_k log L_k / c`` with ``z = softmax(logits)`` and the constant
    ``c = sum_k z_k / L_k``. After the step the losses of the same batch are computed again, and
    the logits take a descent step along ``sum_k grad z_k (log L_k before - log L_k after)``.

    Args:
        tasks: Names of the K tasks.
        lr: Learning rate of the logits.
        decay: Weight decay of the logits.
    """

    needs_second_losses = True
    logits: Tensor
    previous: Tensor

    def __init__(self, tasks: Sequence[str], lr: float = 0.025, decay: float = 1e-3) -> None:
        super().__init__(tasks)
        size = len(self.tasks)
        self.register_buffer("logits", torch.zeros(size))
        self.register_buffer("previous", torch.full((size,), torch.nan), persistent=False)
        self.adam = AdamState(size, lr, decay)

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns the loss as defined in the docstring of the class.

        Raises:
            InputError: If a loss is not above 0, so that it has no logarithm.
        """
        # one synchronisation per step; the second forward pass costs far more
        if not bool((values > 0).all()):
            row = int(which[(values.detach() <= 0).nonzero()[0, 0]])
            raise InputError(
                f"balancer famo uses logarithms, but the loss of task {self.tasks[row]!r} is not "
                "above 0: choose another loss or balancer"
            )
        z = torch.softmax(self.logits[which], dim=0)
        shifted = values + SMALLEST
        c = (z / shifted.detach()).sum()
        self.previous.fill_(torch.nan)
        self.previous[which] = values.detach().to(self.previous.dtype)
        self.weights[which] = (z / shifted.detach() / c).to(self.weights.dtype)
        return (z / c * shifted.log()).sum()

    @torch.no_grad()
    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Updates the logits by the change of the losses of the batch."""
        rows = self.previous.isfinite().nonzero()[:, 0].tolist()
        if not rows:
            return
        which = torch.tensor(rows, device=self.previous.device)
        before = self.previous[which]
        after = torch.stack([losses[self.tasks[row]] for row in rows]).to(before.dtype)
        change = (before + SMALLEST).log() - (after.clamp(min=0) + SMALLEST).log()
        z = torch.softmax(self.logits[which], dim=0)
        gradient = torch.zeros_like(self.logits)
        gradient[which] = z * (change - (z * change).sum())
        self.adam.step(self.logits, gradient)
