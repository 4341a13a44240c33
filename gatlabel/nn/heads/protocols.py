"""What only some heads can do: optional protocols that shared code asks for with ``isinstance``.

A head that names a protocol among its bases, after :class:`~gatlabel.nn.heads.base.Head`, also gets
the methods that follow from the others. All members are methods, so ``issubclass`` works as well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, Self, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError

Criterion = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Foldable(Protocol):
    """A head whose classifiers do not depend on the image: after training, a linear layer.

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
        ...

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """Returns a ``torch.nn.Linear`` with the logits this head has in evaluation mode.

        Raises:
            InputError: If the classifiers are not finite (a diverged training run).
        """
        assert isinstance(self, nn.Module)
        training = self.training
        self.eval()
        try:
            weight, bias = self.classifier()
        finally:
            self.train(training)
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise InputError("the head cannot be folded: its classifiers hold NaN or infinity")
        labels, width = weight.shape
        linear = nn.Linear(width, labels, device=weight.device, dtype=weight.dtype)
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
        return linear.train(training)


@runtime_checkable
class LinearInit(Protocol):
    """A head that is, or starts as, a linear classifier of pooled features, plus a residual."""

    @abstractmethod
    def linear_weight(self) -> Tensor | None:
        """Returns the free weights V ``(L, D)``; ``None`` where the options leave no such part."""
        ...

    @abstractmethod
    def label_bias(self) -> nn.Parameter | None:
        """Returns the learned biases ``(L,)``, or ``None``."""
        ...

    def mixing_matrix(self) -> Tensor | None:
        """Returns C, float64 ``(L, L)``, where the linear classifier is ``C V`` with V free.

        ``None`` where each label has a free classifier of its own.
        """
        return None

    def residual_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters in which the residual is linear; a weight decay may hold them."""
        return []

    @torch.no_grad()
    def scale_residual(self, factor: float) -> bool:
        """Keeps this share of what the head adds to its linear classifier; 0 leaves only that.

        Args:
            factor: At least 0 and at most 1.

        Returns:
            Whether the head has a residual.

        Raises:
            InputError: If the factor is out of range.
        """
        if not 0 <= factor <= 1:
            raise InputError(f"factor={factor}: the share of a residual is from 0 to 1")
        residual = self.residual_parameters()
        for parameter in residual:
            # not a product: what is not finite would stay so
            parameter.copy_(parameter * factor if factor else torch.zeros_like(parameter))
        return bool(residual)

    @torch.no_grad()
    def init_linear(self, weight: Tensor, bias: Tensor) -> list[Tensor]:
        """Starts the linear classifier of the head at this one.

        Args:
            weight: ``(L, D)``.
            bias: ``(L,)``; not used by a head without biases.

        Returns:
            The weights that were set, biases apart: V, where classifiers are mixed
            (:meth:`mixing_matrix`). None where the options leave no linear classifier.

        Raises:
            InputError: If the shapes are not the head's.
        """
        own = self.linear_weight()
        if own is None:
            return []
        if weight.shape != own.shape or bias.shape != weight.shape[:1]:
            raise InputError(
                f"a linear start of this head has weights {tuple(own.shape)} and as many biases "
                f"as rows, got {tuple(weight.shape)} and {tuple(bias.shape)}"
            )
        mixing = self.mixing_matrix()
        if mixing is not None:
            weight = torch.linalg.solve(mixing, weight.to(mixing))
        own.copy_(weight)
        biases = self.label_bias()
        if biases is not None:
            biases.copy_(bias)
        return [own]


def starts_linear(head: nn.Module) -> TypeGuard[LinearInit]:
    """Whether a head is, or starts as, a linear classifier of pooled features.

    Heads on maps do not: they score positions, and what separates averages misleads them.
    """
    return isinstance(head, LinearInit) and head.linear_weight() is not None


@runtime_checkable
class GraphAblatable(Protocol):
    """A head over a label graph that can show what the edges do, by copies without them."""

    def without_edges(self) -> Self:
        """Returns a copy with all learned weights and no edges."""
        ...

    def with_edges(self, keep: Tensor) -> Self:
        """Returns a copy with all learned weights and some of the edges, ``keep`` bool ``(E,)``."""
        ...

    def attention(self) -> tuple[Tensor, Tensor] | None:
        """Returns edges and attention weights, or ``None`` where the image decides them."""
        ...


@runtime_checkable
class AuxiliaryLosses(Protocol):
    """A head with parts that learn from further losses than the criterion of its logits."""

    def forward_losses(
        self, features: Tensor, targets: Tensor, criterion: Criterion
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns logits, and the losses whose sum training lowers.

        Args:
            features: As ``forward`` takes them.
            targets: ``(B, L)``, -1 for unknown.
            criterion: Takes logits and targets, returns a scalar.

        Returns:
            Logits ``(B, L)`` and scalars, the first of which is the criterion of those logits.
        """
        ...

    def unary_logits(self, features: Tensor) -> Tensor:
        """Returns the logits ``(B, L)`` that the criterion judges in training."""
        ...

    def auxiliary_parameters(self) -> list[nn.Parameter]:
        """Returns what learns from the further losses only: its gradients are clipped apart.

        Otherwise a loss would change, by the norm of its gradient, what the other parameters learn.
        """
        ...


def forward_losses(
    head: nn.Module, features: Tensor, targets: Tensor, criterion: Criterion
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits and losses of any head, as :meth:`AuxiliaryLosses.forward_losses`."""
    if isinstance(head, AuxiliaryLosses):
        return head.forward_losses(features, targets, criterion)
    logits: Tensor = head(features)
    return logits, (criterion(logits, targets),)
