"""What every head is: features in, one logit a label out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class Head(nn.Module, ABC):
    """Base of all heads.

    Attributes:
        in_features: Feature width D.
        out_features: Number of labels L (the name ``nn.Linear`` uses).
        needs_map: Whether ``forward`` takes the feature map ``(B, D, h, w)`` instead of pooled
            features ``(..., D)``.
        kind: The name of the head in :data:`gatlabel.nn.HEADS`.
    """

    needs_map: ClassVar[bool] = False
    kind: ClassVar[str]

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        if in_features < 1 or out_features < 1:
            raise InputError(
                f"a head needs at least one feature and one label, got {in_features} and "
                f"{out_features}"
            )
        self.in_features, self.out_features = in_features, out_features

    @property
    def config(self) -> dict[str, Any]:
        """The options, as primitives, that make a head of the same shape (the graph apart)."""
        return {"in_features": self.in_features}

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """The parameters whose size a weight decay of their own (shrinkage) should hold."""
        return []

    def extra_repr(self) -> str:
        """What ``repr`` prints: every option of the head."""
        options = {**self.config, "labels": self.out_features}
        return ", ".join(f"{name}={value}" for name, value in options.items())


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


class GraphHead(StaticHead):
    """A static head that computes its classifiers over a label graph.

    Args:
        in_features: Feature width D.
        graph: The label graph; its label order is the order of the logits.
    """

    edge_index: Tensor
    edge_weight: Tensor

    def __init__(self, in_features: int, graph: LabelGraph) -> None:
        super().__init__(in_features, len(graph.names))
        # The graph is an argument, not something learned: a checkpoint need not repeat it.
        self.register_buffer("edge_index", graph.edge_index.clone(), persistent=False)
        weight = graph.edge_weight.to(torch.get_default_dtype()).clone()
        self.register_buffer("edge_weight", weight, persistent=False)

    def attention(self) -> tuple[Tensor, Tensor] | None:
        """Returns ``(edge_index, weights)`` of the last attention layer, or ``None`` without one.

        ``edge_index`` is int64 ``(2, E')`` (with self-loops if the layer adds them) and ``weights``
        ``(E', H)``, summing to 1 over the in-edges of each label.
        """
        return None
