"""The base class of balancers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError


class Balancer(nn.Module):
    """Combines the losses of K tasks to one.

    Its parameters, if any, are trained with those of the model, without weight decay. All other
    state is in buffers, so that ``state_dict`` is complete.

    Args:
        tasks: Names of the K tasks.
    """

    #: Whether :meth:`after_step` is called with the losses of the same batch after the optimiser
    #: step.
    needs_second_losses = False
    #: Whether :meth:`forward` needs the shared features.
    needs_features = False
    #: The last weight of each task, ``(K,)``, for logs.
    weights: Tensor

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks or len(set(tasks)) != len(tasks):
            raise InputError(f"tasks {list(tasks)}: give one unique name per task")
        self.tasks = tuple(tasks)
        self.register_buffer("weights", torch.ones(len(self.tasks)))
        #: Sums a tensor over the processes that share the batch; set in distributed training.
        self.total: Callable[[Tensor], Tensor] = lambda tensor: tensor

    def forward(
        self,
        losses: Mapping[str, Tensor],
        features: Tensor | None = None,
        present: Collection[str] | None = None,
    ) -> Tensor:
        """Returns the loss for backpropagation.

        Args:
            losses: One scalar per task.
            features: The shared features ``(B, …)`` from which the losses were computed.
            present: Tasks with a target in the batch of any process; default: those in ``losses``.
                The others are omitted.

        Raises:
            InputError: If the balancer does not have the task of a loss, or features are missing.
        """
        unknown = [name for name in losses if name not in self.tasks]
        if unknown:
            raise InputError(f"loss of {unknown[0]!r}: the tasks are {', '.join(self.tasks)}")
        if self.needs_features and features is None:
            raise InputError(f"{type(self).__name__} needs the shared features of the batch")
        there = losses if present is None else present
        rows = [row for row, name in enumerate(self.tasks) if name in there and name in losses]
        if not rows:
            return sum(losses.values(), torch.zeros((), device=self.weights.device))
        which = torch.tensor(rows, device=self.weights.device)
        values = torch.stack([losses[self.tasks[row]] for row in rows])
        return self.balance(values, which, features)

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns the loss for backpropagation.

        Args:
            values: Losses of the present tasks, ``(P,)``, at least one.
            which: Positions of these tasks, ``(P,)``.
            features: The shared features, if :attr:`needs_features` is set.
        """
        raise NotImplementedError

    def share(self, features: Tensor, own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Returns what the head of each task is to take.

        Args:
            features: The shared features ``(B, …)``.
            own: What the head of each task takes: by hard sharing the shared features themselves.
        """
        return own

    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Receives the losses of the same batch after the optimiser step, if it needs them."""

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Receives the mean loss of each task over the epoch."""


class AdamState(nn.Module):
    """Adam for a vector of K numbers, with all state in buffers.

    The state of a separate :class:`torch.optim.Adam` would be missing from checkpoints.

    Args:
        size: K.
        lr: Learning rate.
        weight_decay: L2 penalty, added to the gradient as in :class:`torch.optim.Adam`.
    """

    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, size: int, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        self.lr, self.weight_decay = lr, weight_decay
        self.register_buffer("first", torch.zeros(size))
        self.register_buffer("second", torch.zeros(size))
        self.register_buffer("steps", torch.zeros(()))

    @torch.no_grad()
    def step(self, values: Tensor, gradient: Tensor) -> None:
        """Updates values ``(K,)`` in place (Kingma and Ba 2015, algorithm 1)."""
        gradient = gradient + self.weight_decay * values
        self.steps += 1
        self.first.lerp_(gradient, 0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        mean = self.first / (1 - 0.9**self.steps)
        spread = (self.second / (1 - 0.999**self.steps)).sqrt()
        values -= self.lr * mean / (spread + 1e-8)
