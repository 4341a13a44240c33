"""GradNorm: weights with which the gradients of all tasks have similar norms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gatlabel.engine.balancing.aggregation import feature_gradients
from gatlabel.engine.balancing.base import AdamState, Balancer


class GradNorm(Balancer):
    """Gradient normalisation (Chen, Badrinarayanan, Lee and Rabinovich, ICML 2018, eqs. 1 and 2).

    The target for the norm of the gradient of ``w_k L_k`` at the shared features is
    ``mean(norms) * (r_k / mean(r)) ** alpha``, where ``r_k`` is the loss relative to its first
    value. The weights are trained on the L1 distance only, and scaled so that their sum is K.

    Args:
        tasks: Names of the K tasks.
        alpha: Strength; larger values give more weight to tasks whose loss decreases slowly.
        lr: Learning rate of the weights.
    """

    needs_features = True
    first: Tensor

    def __init__(self, tasks: Sequence[str], alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.register_buffer("first", torch.full((len(self.tasks),), torch.nan))
        self.adam = AdamState(len(self.tasks), lr)

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns ``sum_k w_k L_k`` with the weights before this step, and updates the weights."""
        assert features is not None
        used = self.weights[which].clone()
        gradients = feature_gradients(values, features)
        norms = self.total((gradients**2).sum(dim=1)).sqrt()
        self._learn(values.detach(), which, norms)
        return (used.to(values.dtype) * values).sum()

    @torch.no_grad()
    def _learn(self, values: Tensor, which: Tensor, norms: Tensor) -> None:
        losses = self.total(values.float())
        first = self.first[which]
        self.first[which] = torch.where(first.isnan(), losses, first)
        ratios = losses / self.first[which].clamp(min=1e-12)
        rates = ratios / ratios.mean().clamp(min=1e-12)
        weighted = self.weights[which] * norms
        targets = weighted.mean() * rates**self.alpha
        gradient = torch.zeros_like(self.weights)
        gradient[which] = torch.sign(weighted - targets) * norms
        self.adam.step(self.weights, gradient)
        self.weights.clamp_(min=1e-3)
        self.weights *= len(self.tasks) / self.weights.sum()
