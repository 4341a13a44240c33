"""What every head is: features in, one logit a label out."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.nn.identity import HasIdentity, Identity
from gatlabel.nn.pooling import with_positions
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


Criterion = Callable[[Tensor, Tensor], Tensor]
MOST = 2**31 - 1  # of features, and of labels
#: Options that a state need not share: they do not change logits, or its tensors show them.
NOT_IDENTITY = ("in_features", "node_features", "dropout", "kinship")


class Head(HasIdentity, ABC):
    """Base of all heads.

    Args:
        in_features: Feature width D.
        labels: The L label names, or their number where the names are not known.

    Attributes:
        in_features: Feature width D.
        out_features: Number of labels L (the name ``nn.Linear`` uses).
        labels: The label names, in the order of the logits; ``None`` where they are not known.
        needs_map: Whether ``forward`` takes the feature map ``(B, D, h, w)`` instead of pooled
            features ``(..., D)``.
        kind: The name of the head in :data:`gatlabel.nn.HEADS`.
    """

    needs_map: ClassVar[bool] = False
    kind: ClassVar[str]

    def __init__(self, in_features: int, labels: int | LabelSet) -> None:
        super().__init__()
        self.labels = labels if isinstance(labels, LabelSet) else None
        count = len(labels) if isinstance(labels, LabelSet) else labels
        need = "a head needs at least one feature and one label: "
        self.in_features = whole_number(in_features, f"{need}in_features", 1, MOST)
        self.out_features = whole_number(count, f"{need}labels", 1, MOST)

    @property
    def config(self) -> dict[str, Any]:
        """The options, as primitives, that make a head of the same shape (the graph apart)."""
        return {"in_features": self.in_features}

    def identity(self) -> Identity:
        """Labels, and all options that change logits: a state of others is refused."""
        options = {name: v for name, v in self.config.items() if name not in NOT_IDENTITY}
        labels = None if self.labels is None else list(self.labels)
        return {"labels": labels, "head": self.kind, **options}

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """The parameters whose size a weight decay of their own (shrinkage) should hold."""
        return []

    def scale_residual(self, factor: float) -> bool:
        """Keeps this share of what the head adds to its linear classifier; 0 leaves only that.

        Args:
            factor: At least 0 and at most 1.

        Returns:
            Whether the head has such a residual; others stay as they are.

        Raises:
            InputError: If the factor is out of range.
        """
        if not 0 <= factor <= 1:
            raise InputError(f"factor={factor}: the share of a residual is from 0 to 1")
        return False

    def linear_parameters(self) -> list[nn.Parameter]:
        """Those of the linear classifier that the head is, or starts as.

        Alone they are a convex problem, and learn at rates at which other parts would not.
        """
        return []

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> list[Tensor]:
        """Starts the linear classifier that the head is, or starts as, at this one.

        Heads on maps do not: they judge positions, and what tells averages apart misleads them.

        Args:
            weight: ``(L, D)``.
            bias: ``(L,)``; left where it is in a head without biases.

        Returns:
            The weights that were set, biases apart; none by a head that starts as no linear
            classifier of pooled features. Where labels share (:meth:`sharing`), those are the
            free ones of which these classifiers are made.

        Raises:
            InputError: If the shapes are not the head's.
        """
        own = self._linear_weights()
        if weight.shape != (self.out_features, self.in_features) or bias.shape != weight.shape[:1]:
            raise InputError(
                f"a linear start of this head has weights ({self.out_features}, "
                f"{self.in_features}) and as many biases as rows, got {tuple(weight.shape)} and "
                f"{tuple(bias.shape)}"
            )
        if own is None:
            return []
        sharing = self.sharing()
        if sharing is not None:
            weight = torch.linalg.solve(sharing, weight.to(sharing))
        own.copy_(weight)
        biases = self.label_bias()
        if biases is not None:
            biases.copy_(bias)
        return [own]

    @property
    def starts_linear(self) -> bool:
        """Whether the head is, or starts as, a linear classifier of pooled features."""
        return self._linear_weights() is not None

    def sharing(self) -> Tensor | None:
        """Returns C, float64 ``(L, L)``, where the linear classifier is ``C V`` with V free.

        ``None`` where labels are on their own, each with a free classifier.
        """
        return None

    def _linear_weights(self) -> Tensor | None:
        """``(L, D)`` of the linear classifier that the head starts as, if it does."""
        return None

    def label_bias(self) -> nn.Parameter | None:
        """The learned biases of the labels ``(L,)``, or ``None`` for a head without."""
        bias = getattr(self, "bias", None)
        return bias if isinstance(bias, nn.Parameter) else None

    @torch.no_grad()
    def start_at(self, base_rates: Tensor) -> None:
        """Starts the biases, if there are any, at the log-odds of the labels' base rates.

        Then the first steps need not teach every label that it is rare (Lin et al., *Focal loss
        for dense object detection*, ICCV 2017, arXiv:1708.02002, section 3.3).

        Args:
            base_rates: ``(L,)`` in (0, 1), as :attr:`gatlabel.graph.Cooccurrence.base_rates`.

        Raises:
            InputError: If they are no ``L`` probabilities between 0 and 1.
        """
        if (
            base_rates.shape != (self.out_features,)
            or not ((base_rates > 0) & (base_rates < 1)).all()
        ):
            raise InputError(f"base rates: expected {self.out_features} values above 0 and below 1")
        bias = self.label_bias()
        if bias is not None:
            bias.copy_(base_rates.logit())

    def training_losses(
        self, features: Tensor, targets: Tensor, criterion: Criterion
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns logits, and the losses whose sum training lowers.

        Most heads have one, the criterion of their logits. A head with parts that should learn
        from something else (see :class:`ConditionedHead`) has more.

        Args:
            features: As ``forward`` takes them.
            targets: ``(B, L)``, -1 for unknown.
            criterion: Takes logits and targets, returns a scalar.

        Returns:
            Logits ``(B, L)`` and scalars, the first of which is the criterion of those logits.
        """
        logits: Tensor = self(features)
        return logits, (criterion(logits, targets),)

    def sight(self, features: Tensor) -> Tensor:
        """Returns the logits ``(B, L)`` that the criterion judges in training.

        Those of ``forward``, but for a head with parts that learn from something else.
        """
        logits: Tensor = self(features)
        return logits

    def apart_parameters(self) -> list[nn.Parameter]:
        """Parameters that only a further loss teaches: their gradients are clipped apart.

        Otherwise a loss would change, by the norm of its gradient, what the other parameters learn.
        """
        return []

    def extra_repr(self) -> str:
        """What ``repr`` prints: every option of the head."""
        options = {**self.config, "labels": self.out_features}
        return ", ".join(f"{name}={value}" for name, value in options.items())


class MapHead(Head):
    """A head that looks at the feature map itself: it decides per label where to look.

    Shapes:
        features ``(B, D, h, w)`` -> logits ``(B, L)``.
    """

    needs_map = True

    def positions(self, features: Tensor) -> Tensor:
        """Returns the map as a row a position, ``(B, D, h, w)`` -> ``(B, h·w, D)``.

        Raises:
            InputError: If the features are no map of the head's width, or it has no position.
        """
        if features.ndim != 4 or features.shape[1] != self.in_features:
            raise InputError(
                f"the head {self.kind!r} takes feature maps (B, {self.in_features}, h, w), got "
                f"{tuple(features.shape)}; a pooled vector is a map of 1 x 1"
            )
        # a copy where the map is not channels-last: every product below wants rows of channels
        return with_positions(features).flatten(2).transpose(1, 2).contiguous()


def given_labels(
    kind: str, labels: int | Sequence[str] | None, graph: LabelGraph | None
) -> int | LabelSet:
    """Returns the labels of a head that needs no graph but may take its labels from one.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, or the names are no
            label names.
    """
    if (labels is None) == (graph is None):
        raise InputError(f"a {kind} needs its labels: give labels=… or graph=…, one of them")
    if labels is None:
        assert graph is not None
        return graph.labels
    if isinstance(labels, str | Sequence):
        return labels if isinstance(labels, LabelSet) else LabelSet(labels)
    return labels
