"""Heads that are a linear layer once they are trained."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import Head


class StaticHead(Head):
    """A head whose classifiers do not depend on the picture: after training, a linear layer.

    Example:
        >>> import torch
        >>> from gatlabel.nn import LinearHead
        >>> head = LinearHead(16, labels=3)
        >>> features = torch.randn(5, 16)
        >>> torch.allclose(head(features), head.fold()(features))
        True
    """

    @abstractmethod
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Returns the classifiers of all labels: weight ``(L, D)`` and bias ``(L,)``."""

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(..., D)`` -> logits ``(..., L)``, as ``nn.Linear`` has it."""
        return F.linear(features, *self.classifier())

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """Returns a ``torch.nn.Linear`` with the logits this head has in evaluation mode.

        Raises:
            InputError: If the classifiers are not finite (a diverged training run).
        """
        training = self.training
        self.eval()
        try:
            weight, bias = self.classifier()
        finally:
            self.train(training)
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise InputError("the head cannot be folded: its classifiers hold NaN or infinity")
        linear = nn.Linear(
            self.in_features, self.out_features, device=weight.device, dtype=weight.dtype
        )
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
        return linear.train(training)
