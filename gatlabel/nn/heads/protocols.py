"""Optional protocols for abilities of some heads; shared code checks them with ``isinstance``.

A head that lists a protocol among its bases, after :class:`~gatlabel.nn.heads.base.Head`, inherits
the protocol's derived methods. All members are methods, so ``issubclass`` works as well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, Self, TypeGuard, cast, runtime_checkable

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError

Criterion = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Foldable(Protocol):
    """A head whose classifiers do not depend on the image, and thus equal a linear layer.

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
        """Returns a ``torch.nn.Linear`` with the logits of this head in evaluation mode.

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
            raise InputError("the head cannot be folded: its classifiers contain NaN or infinity")
        labels, width = weight.shape
        linear = nn.Linear(width, labels, device=weight.device, dtype=weight.dtype)
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
        return linear.train(training)


@runtime_checkable
class LinearInit(Protocol):
    """A head that is, or is initialised as, a linear classifier of features, plus a residual."""

    @abstractmethod
    def linear_weight(self) -> Tensor | None:
        """Returns the free weights V ``(L, D)``, or ``None`` if the options exclude such a part."""
        ...

    @abstractmethod
    def label_bias(self) -> nn.Parameter | None:
        """Returns the learned biases ``(L,)``, or ``None``."""
        ...

    def mixing_matrix(self) -> Tensor | None:
        """Returns C, float64 ``(L, L)``, if the linear classifier is ``C V`` with V free.

        ``None`` if each label has its own free classifier.
        """
        return None

    def residual_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters in which the residual is linear, for a separate weight decay."""
        return []

    @torch.no_grad()
    def scale_residual(self, factor: float) -> bool:
        """Scales the head's deviation from its linear classifier; 0 removes it.

        Args:
            factor: At least 0 and at most 1.

        Returns:
            Whether the head has a residual.

        Raises:
            InputError: If the factor is out of range.
        """
        if not 0 <= factor <= 1:
            raise InputError(f"factor={factor}: must be between 0 and 1")
        residual = self.residual_parameters()
        for parameter in residual:
            # assignment, not a product: NaN and infinity would survive a product
            parameter.copy_(parameter * factor if factor else torch.zeros_like(parameter))
        return bool(residual)

    @torch.no_grad()
    def init_linear(self, weight: Tensor, bias: Tensor) -> list[Tensor]:
        """Initialises the linear part of the head with the given classifier.

        Args:
            weight: ``(L, D)``.
            bias: ``(L,)``; ignored by a head without biases.

        Returns:
            The weights that were set, without biases. They are V if classifiers are mixed
            (:meth:`mixing_matrix`), and empty if the options exclude a linear classifier.

        Raises:
            InputError: If the shapes do not match the head.
        """
        own = self.linear_weight()
        if own is None:
            return []
        if weight.shape != own.shape or bias.shape != weight.shape[:1]:
            raise InputError(
                f"the linear initialisation of this head needs weights {tuple(own.shape)} and one "
                f"bias per row, got {tuple(weight.shape)} and {tuple(bias.shape)}"
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
    """Whether a head is, or is initialised as, a linear classifier of pooled features.

    Heads on feature maps are not: they score positions, for which a classifier of averages is a
    poor initialisation.
    """
    return isinstance(head, LinearInit) and head.linear_weight() is not None


@runtime_checkable
class GraphAblatable(Protocol):
    """A head over a label graph that returns copies of itself without some or all edges."""

    def without_edges(self) -> Self:
        """Returns a copy with all learned weights and no edges."""
        ...

    def with_edges(self, keep: Tensor) -> Self:
        """Returns a copy with all learned weights and the edges in ``keep``, bool ``(E,)``."""
        ...

    def attention(self) -> tuple[Tensor, Tensor] | None:
        """Returns edges and attention weights, or ``None`` if they depend on the image."""
        ...


@runtime_checkable
class AuxiliaryLosses(Protocol):
    """A head with parts that are trained by losses other than the criterion of its logits."""

    def forward_losses(
        self, features: Tensor, targets: Tensor, criterion: Criterion
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns logits and the losses whose sum is minimised.

        Args:
            features: As for ``forward``.
            targets: ``(B, L)``, -1 for unknown.
            criterion: A function of logits and targets that returns a scalar.

        Returns:
            Logits ``(B, L)`` and scalar losses. The first is the criterion of the unary logits.
        """
        ...

    def unary_logits(self, features: Tensor) -> Tensor:
        """Returns the logits ``(B, L)`` to which the criterion is applied in training."""
        ...

    def auxiliary_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters trained by auxiliary losses only; they are clipped separately.

        Otherwise the gradient norm of an auxiliary loss would affect the other parameters.
        """
        ...


#: Remembered, as ``issubclass`` looks through all members, and every step asks.
_HAS_LOSSES: dict[type, bool] = {}


def forward_losses(
    head: nn.Module, features: Tensor, targets: Tensor, criterion: Criterion
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Returns logits and losses of any head, as :meth:`AuxiliaryLosses.forward_losses`."""
    kind = type(head)
    if kind not in _HAS_LOSSES:
        _HAS_LOSSES[kind] = issubclass(kind, AuxiliaryLosses)
    if _HAS_LOSSES[kind]:
        return cast(AuxiliaryLosses, head).forward_losses(features, targets, criterion)
    logits: Tensor = head(features)
    return logits, (criterion(logits, targets),)
