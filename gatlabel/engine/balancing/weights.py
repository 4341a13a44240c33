"""Balancers that multiply each loss by a weight: constant, learned, or by its rate of decrease."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from gatlabel.engine.balancing.base import Balancer
from gatlabel.errors import InputError


class FixedWeights(Balancer):
    """The weighted sum of the losses; equal weights by default.

    Args:
        tasks: Names of the K tasks.
        fixed: Weight per task, at least 0; the default is 1.

    Raises:
        InputError: If a weight is negative or not finite, or there is no such task.
    """

    def __init__(self, tasks: Sequence[str], fixed: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        for name, weight in (fixed or {}).items():
            if name not in self.tasks:
                raise InputError(f"weight of {name!r}: the tasks are {', '.join(self.tasks)}")
            if not 0 <= weight < float("inf"):
                raise InputError(f"weight {weight} of task {name!r}: give a number of at least 0")
            self.weights[self.tasks.index(name)] = weight

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns ``sum_k w_k L_k``."""
        return (self.weights[which].to(values.dtype) * values).sum()


class Uncertainty(Balancer):
    """One learned log variance per task (Kendall, Gal and Cipolla, CVPR 2018, eqs. 7 and 10).

    The loss is ``sum_k c_k exp(-s_k) L_k + s_k / 2``, with ``c_k`` = 1/2 for regression and 1 for
    classification. ``s_k`` of a task that is absent from a batch gets no gradient.

    Args:
        tasks: Names of the K tasks.
        regression: Names of the regression tasks.
    """

    def __init__(self, tasks: Sequence[str], regression: Collection[str] = ()) -> None:
        super().__init__(tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))
        halves = [0.5 if name in regression else 1.0 for name in self.tasks]
        self.register_buffer("factors", torch.tensor(halves), persistent=False)

    factors: Tensor

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns the sum in the docstring of the class, over the present tasks."""
        log_variance = self.log_variance[which]
        weights = self.factors[which] * torch.exp(-log_variance)
        self.weights[which] = weights.detach()
        return (weights * values + log_variance / 2).sum()


class AveragedRates(Balancer):
    """Dynamic weight averaging (Liu, Johns and Davison, CVPR 2019, eq. 7).

    ``w_k = K softmax_k(r_k / T)`` with the ratio ``r_k`` of the mean losses of the last two epochs.
    In the first two epochs, and for a task that had no target in one of them, ``r_k`` is 1.

    Args:
        tasks: Names of the K tasks.
        temperature: T; large values mean equal weights.
    """

    last: Tensor
    before: Tensor

    def __init__(self, tasks: Sequence[str], temperature: float = 2.0) -> None:
        super().__init__(tasks)
        if not 0 < temperature < float("inf"):
            raise InputError(f"temperature {temperature}: give a number above 0")
        self.temperature = temperature
        self.register_buffer("last", torch.full((len(self.tasks),), torch.nan))
        self.register_buffer("before", torch.full((len(self.tasks),), torch.nan))

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns ``sum_k w_k L_k``."""
        return (self.weights[which].to(values.dtype) * values).sum()

    @torch.no_grad()
    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Computes the weights of the next epoch."""
        self.before.copy_(self.last)
        means = [float(losses.get(name, torch.nan)) for name in self.tasks]
        self.last.copy_(torch.tensor(means))
        rates = (self.last / self.before).nan_to_num(1.0, posinf=1.0)
        softmax = torch.softmax(rates / self.temperature, dim=0)
        self.weights.copy_(len(self.tasks) * softmax)
